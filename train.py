"""Train, evaluate and save a model. Everything is in config/train.yaml and can be changed here:

    python train.py                                                   # KEMDy under ./data
    python train.py trainer.accelerator=cpu dataset.validation_fold=3
    python train.py dataset.dataset_name=kemdy19 model=simple_concat
    python train.py dataset=synthetic model=tiny                      # simulated corpus, no download
    python train.py experiment=demo                                   # what `make demo` trains
    python train.py +trainer.fast_dev_run=True                        # one batch of everything
    python train.py dataset.num_data=4 dataloader.batch_size=4 trainer.accelerator=cpu
    python train.py model.use_peakl=False                             # soft labels instead of PeakL
    python train.py dataset=manifest dataset.paths=my/manifest.csv dataset.protocol=strict
    python train.py ckpt_path=runs/…                                  # go on where a run stopped
    python train.py -m dataset.validation_fold=0,1,2,3,4              # Hydra multirun
    python train.py --cfg job                                         # print the configuration

A run writes to runs/: config.yaml, metrics.csv, checkpoints/, model/ (for `erc predict`),
results.json, predictions.csv.
"""

import sys

import hydra
from omegaconf import DictConfig

from erc.base.errors import one_line_errors
from erc.training.check import check
from erc.training.config import compose, plain


@hydra.main(version_base=None, config_path="config", config_name="train")
def main(cfg: DictConfig) -> None:
    with one_line_errors():
        check(cfg)
        from erc.base.devices import tune_memory
        from erc.training.run import train  # slow to import: after the checks

        tune_memory()
        train(cfg, sys.argv)


if __name__ == "__main__":
    flags = ("-", "hydra.", "hydra/")  # Hydra's own, which it explains well itself
    sys.argv[1:] = [a if a.startswith(flags) else plain(a) for a in sys.argv[1:]]
    if not {"-m", "--multirun"} & set(sys.argv):  # a sweep has values that are no single value
        with one_line_errors():
            compose([a for a in sys.argv[1:] if "=" in a and not a.startswith(flags)])
    main()
