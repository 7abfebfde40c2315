"""Small KEMDy19 and KEMDy20 folders, written by hand from the format."""

from __future__ import annotations

from pathlib import Path

from erc import corpora
from erc.corpora import Corpus

RATERS = [f"Eval{n}" for n in "01F 02M 03F 04F 05M 06M 07M 08F 09M 10F".split()]
HAPPY6 = ["happy"] * 6 + ["sad"] * 4


def rating_cells(emotions: list[str], valence=(3,) * 10, arousal=(4,) * 10, total=None) -> list:
    """The 3 total and 30 rater cells of a row."""
    top = max(emotions.count(e) for e in emotions)
    winners = ";".join(e for e in dict.fromkeys(emotions) if emotions.count(e) == top)
    cells = total or [winners, f"{sum(valence) / 10:.1f}", f"{sum(arousal) / 10:.1f}"]
    for triple in zip(emotions, valence, arousal, strict=True):
        cells = [*cells, *map(str, triple)]
    return cells


def write(path: Path, lines: list[list[str]], newline: str = "\n", encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(",".join(line) + newline for line in lines).encode(encoding))


def recording(root: Path, place: str, text: bytes | None = b"b/ hello \n") -> None:
    path = root / "wav" / f"{place}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    if text is not None:
        path.with_suffix(".txt").write_bytes(text)


class Tree19:
    """Session after session of a small KEMDy19."""

    blank = ""

    def __init__(self, root: Path):
        self.root = root
        self.options = {}

    def header(self, raters=RATERS) -> list[list[str]]:
        blank = self.blank
        first = ["Numb", "Wav", blank, "ECG", blank, "E4-EDA", blank, "E4-TEMP", blank]
        first.append("Segment ID")
        second = [blank, *["start", "end"] * 4, blank]
        for name in ("Total Evaluation", *raters):
            first += [name, blank, blank]
            second += ["Emotion", "Valence", "Arousal"]
        return [first, second]

    def annotate(self, file: str, rows: dict[str, list] | list[tuple[str, list]], bio="1.5"):
        pairs = list(rows.items() if isinstance(rows, dict) else rows)
        lines = [
            [str(i + 1), "0.5", "1.5", *[bio] * 6, identity, *cells]
            for i, (identity, cells) in enumerate(pairs)
        ]
        name = self.root / "annotation" / f"Session{file}_res.csv"
        write(name, self.header() + lines, **self.options)

    def speak(self, *ids: str, **text) -> None:
        for identity in ids:
            number, dialogue = identity[4:6], identity.rpartition("_")[0]
            recording(self.root, f"Session{number}/{dialogue}/{identity}", **text)

    def load(self, **options) -> Corpus:
        return corpora.load("kemdy19", self.root, **options)


class Tree20(Tree19):
    blank = " "

    def header(self, raters=RATERS) -> list[list[str]]:
        first, second = super().header(raters)
        return [first[:3] + first[9:], second[:3] + second[9:]]

    def annotate(self, file: str, rows: dict[str, list] | list[tuple[str, list]]):
        pairs = list(rows.items() if isinstance(rows, dict) else rows)
        lines = [[str(i + 1), "0.5", "1.5", a, *cells] for i, (a, cells) in enumerate(pairs)]
        name = self.root / "annotation" / f"Sess{file}_eval.csv"
        write(name, self.header() + lines, **self.options)

    def speak(self, *ids: str, **text) -> None:
        for identity in ids:
            recording(self.root, f"Session{identity[4:6]}/{identity}", **text)

    def load(self, **options) -> Corpus:
        return corpora.load("kemdy20", self.root, **options)


M1, F1 = "Sess01_script01_M001", "Sess01_script01_F001"
U1, U2 = "Sess01_script01_User001F_001", "Sess01_script01_User002M_001"


def small19(tmp_path: Path) -> Tree19:
    tree = Tree19(tmp_path / "KEMDy19")
    tree.speak(M1, F1)
    rows = {M1: rating_cells(HAPPY6), F1: rating_cells(["fear"] * 10)}
    tree.annotate("01_M", rows)
    tree.annotate("01_F", rows)
    return tree


def small20(tmp_path: Path) -> Tree20:
    tree = Tree20(tmp_path / "KEMDy20_v1_1")
    tree.speak(U1, U2)
    tree.annotate("01", {U1: rating_cells(HAPPY6), U2: rating_cells(["fear"] * 10)})
    return tree
