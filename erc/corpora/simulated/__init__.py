"""Simulated KEMDy19 / KEMDy20 folders, byte for byte in the layout of the real ones. No real data.

The real corpora need a licence; this tree needs none, goes through the same parsers, and its truth
is known. The generative story, all of it simulated:

    1. an utterance has an emotion and, scattered around that emotion's centroid, a valence, an
       arousal and a dominance (`CENTROIDS`, `SPREAD`)
    2. the wording follows valence, hardly arousal (`erc.base.sentences`)
    3. the voice follows arousal (pitch, loudness, rate) and dominance (pressed … breathy), hardly
       valence (`erc.base.voice`); speakers differ in pitch, vocal tract, loudness and tempo
    4. so happy and angry share a voice, surprise and fear share one, neutral lies between disgust
       and sad; fear, angry, sad and disgust share words: only both together name the emotion
    5. skin conductance and heart follow arousal with noise of their own (`signals`)
    6. ten raters perceive the three with their own bias and noise, vote for the nearest centroid
       and mark valence and arousal 1–5; one is deaf to arousal, as Eval06M of KEMDy19 is (`PANELS`)
    7. while one person speaks the other listens, feels half of it and is rated too (KEMDy19)

Everything follows from (layout, seed, session number, utterances a session): more sessions never
change earlier ones, the same seed gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from erc.base.errors import ConfigError, did_you_mean
from erc.base.sentences import sentence, transcript
from erc.base.space import KEMDY
from erc.base.voice import SAMPLE_RATE, Delivery, Speaker, cast, speak
from erc.corpora.simulated.kemdy_writer import Session, Votes, write_kemdy19, write_kemdy20
from erc.corpora.simulated.signals import live
from erc.corpora.utterance import SIMULATED

# Valence, arousal, dominance of each emotion on an unbounded scale centred at 3. Valence and arousal
# are KEMDy19's rated centroids, stretched because raters shrink (`SHRINK`); dominance is set so that
# voices come in pairs (angry–happy, surprise–fear; signs after Russell & Mehrabian 1977).
CENTROIDS = np.array(
    [
        (3.0, 4.2, 2.1),  # surprise
        (1.4, 4.2, 2.0),  # fear
        (1.3, 4.3, 4.1),  # angry
        (3.1, 2.2, 2.8),  # neutral
        (4.7, 4.3, 4.1),  # happy
        (1.5, 1.5, 2.3),  # sad
        (1.3, 2.9, 3.5),  # disgust
    ]
)
FREQUENCY = np.array([0.13, 0.10, 0.14, 0.25, 0.15, 0.12, 0.11])
SPREAD = 0.36  # of utterances around their emotion's centroid, each axis
EXPRESSION = 0.15  # what voice and words miss of the feeling, each axis
RATER_BIAS, RATER_NOISE = 0.2, 0.7  # between raters; within a rater
SHRINK = np.array([0.85, 0.6])  # a step in feeling → steps in rated valence, arousal
TENSION = 1.4  # a step in dominance → steps in the voice's tension

# First session, raters, and the one who is deaf to arousal; rater names are KEMDy's.
PANELS = {
    "kemdy19": (
        (1, "01F 02M 03F 04F 05M 06M 07M 08F 09M 10F", "06M"),
        (11, "11F 12M 13F 14F 15M 16M 17M 18F 19M 20F", "16M"),
    ),
    "kemdy20": ((1, "01F 02M 03M 04F 05M 06F 07F 08M 09F 10M", "03M"),),
}
SCRIPTS = [f"script{i:02d}" for i in range(1, 7)]
DIALOGUES = {"kemdy19": [*SCRIPTS, *(f"impro{i:02d}" for i in range(1, 5))], "kemdy20": SCRIPTS}
SESSIONS = {"kemdy19": 20, "kemdy20": 40}  # as many as the real corpora have
TURNS = 999  # three digits count the utterances of a dialogue


@dataclass(frozen=True)
class Latents:
    """The truth behind one session's N utterances; nothing of it is written to disk."""

    ids: list[str]
    dialogues: list[str]
    people: tuple[str, str]  # as in ids: ("M", "F") or ("User001F", "User002M")
    person: np.ndarray  # int [N], index in `people`
    emotion: np.ndarray  # int [N], index in KEMDY.emotions
    affect: np.ndarray  # [N, 3] valence, arousal, dominance; about 1–5, unbounded
    listening: np.ndarray  # [N, 3] the same of the person who listens

    @property
    def valence(self) -> np.ndarray:
        return self.affect[:, 0]

    @property
    def arousal(self) -> np.ndarray:
        return self.affect[:, 1]


@dataclass(frozen=True)
class Summary:
    """What `write_tree` wrote."""

    path: Path
    layout: str
    sessions: int
    utterances: int
    seconds: float  # of audio

    def __str__(self) -> str:
        return (
            f"{self.path}: simulated {self.layout}, {self.sessions} sessions, "
            f"{self.utterances} utterances, {self.seconds / 60:.1f} minutes of audio"
        )


def write_tree(
    out_dir: str | Path,
    layout: str = "kemdy19",
    sessions: int = 5,
    utterances: int = 40,
    seed: int = 0,
    defects: bool = True,
) -> Summary:
    """Write a simulated corpus folder.

    A folder that holds such a tree with the same settings is written over (so it can grow by
    sessions); anything else in the way is refused.

    Args:
        out_dir: the corpus folder itself, the one that holds `annotation/` and `wav/`.
        layout: "kemdy19" or "kemdy20".
        sessions: number of sessions, from 1; at most as many as the real corpus has.
        utterances: per session, spread over its dialogues.
        seed: ≥ 0.
        defects: plant flaws that the real corpora have (see `kemdy_writer`).

    Raises:
        ConfigError: an argument outside these limits, or `out_dir` holds something else.
    """
    _check(layout, sessions, utterances, seed)
    root = Path(out_dir)
    _claim(root, layout, sessions, _note(layout, utterances, seed, defects))
    write = write_kemdy19 if layout == "kemdy19" else write_kemdy20
    seconds = 0.0
    for number in range(1, sessions + 1):
        session = perform(layout, number, utterances, seed)
        raters = [f"Eval{r}" for r in _panel(layout, number)[1].split()]
        write(root, session, raters, defects)
        seconds += sum(map(len, session.wavs)) / SAMPLE_RATE
    return Summary(root, layout, sessions, sessions * utterances, seconds)


def latents(layout: str, session: int, utterances: int = 40, seed: int = 0) -> Latents:
    """The truth of one session, as `write_tree` with the same arguments uses it.

    >>> latents("kemdy19", session=1, utterances=10).ids[0]
    'Sess01_script01_M001'
    """
    _check(layout, session, utterances, seed)
    rng = _rng(layout, seed, session, "latents")
    emotion = rng.choice(len(KEMDY.emotions), utterances, p=FREQUENCY)
    affect = CENTROIDS[emotion] + SPREAD * rng.standard_normal((utterances, 3))
    rest = np.array([3.0, 2.6, 3.0])
    listening = rest + 0.5 * (affect - rest) + SPREAD * rng.standard_normal((utterances, 3))
    parts = np.array_split(np.arange(utterances), len(DIALOGUES[layout]))
    dialogues = [d for d, part in zip(DIALOGUES[layout], parts, strict=True) for _ in part]
    person = (np.cumsum(rng.random(utterances) < 0.75) + (rng.random() < 0.5)) % 2  # turn-taking
    people = ("M", "F")
    if layout == "kemdy20":
        genders = ("F", "M")[:: 1 if rng.random() < 0.5 else -1]
        genders = (genders[0], genders[0] if rng.random() < 0.2 else genders[1])
        people = (f"User{2 * session - 1:03d}{genders[0]}", f"User{2 * session:03d}{genders[1]}")
    ids: list[str] = []
    counts: dict[tuple[str, int], int] = {}
    for dialogue, p in zip(dialogues, person, strict=True):
        counts[dialogue, p] = count = counts.get((dialogue, p), 0) + 1
        mark = "" if layout == "kemdy19" else "_"
        ids.append(f"Sess{session:02d}_{dialogue}_{people[p]}{mark}{count:03d}")
    return Latents(ids, dialogues, people, person, emotion, affect, listening)


def perform(layout: str, session: int, utterances: int, seed: int) -> Session:
    """Speak, feel and rate one session."""
    truth = latents(layout, session, utterances, seed)
    rng = _rng(layout, seed, session, "voice")
    speakers = [cast(name[-1], rng) for name in truth.people]
    words = _rng(layout, seed, session, "words")
    wavs, texts = [], []
    for p, affect in zip(truth.person, truth.affect, strict=True):
        text = say(affect, words)
        texts.append(transcript(text, words))
        wavs.append(voice(text, affect, speakers[p], rng))
    start, end, origin = _schedule(truth, wavs, rng)
    own = np.stack([truth.person == p for p in range(2)])  # [2, N]
    felt = np.where(own[..., None], truth.affect, truth.listening)  # [2, N, 3]
    ratings, body = (_rng(layout, seed, session, what) for what in ("ratings", "body"))
    votes = [rate(layout, session, f, seed, ratings) for f in felt]
    if layout == "kemdy20":
        votes = [rate(layout, session, truth.affect, seed, ratings)]
    bodies = [live(origin + start, origin + end, f[:, 1], body) for f in felt]
    return Session(
        session, truth.people, truth.ids, truth.dialogues, truth.person,
        start, end, origin, wavs, texts, votes, bodies,
    )  # fmt: skip


def say(affect: np.ndarray, rng: np.random.Generator) -> str:
    """What someone with this [valence, arousal, dominance] says."""
    valence, arousal, _ = affect + EXPRESSION * rng.standard_normal(3)
    return sentence(valence, arousal, rng)


def voice(text: str, affect: np.ndarray, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """How they say it: int16 samples."""
    valence, arousal, dominance = affect + EXPRESSION * rng.standard_normal(3)
    return speak(text, speaker, Delivery(arousal, 3 + TENSION * (dominance - 3), valence), rng)


def rate(
    layout: str, session: int, affect: np.ndarray, seed: int, rng: np.random.Generator
) -> Votes:
    """Ten raters' votes on N utterances with [N, 3] valence, arousal, dominance."""
    first, names, deaf = _panel(layout, session)
    people = _rng(layout, seed, first, "raters")  # the same ten people in every session
    bias = RATER_BIAS * people.standard_normal((1, 10, 3))
    scale = np.exp(0.1 * people.standard_normal((1, 10, 2)))
    noise = rng.standard_normal((len(affect), 10, 3))
    perceived = affect[:, None] + bias + RATER_NOISE * noise  # [N, 10, 3]
    gap = ((perceived[:, :, None] - CENTROIDS) ** 2).sum(-1)  # [N, 10, 7]
    va = perceived[..., :2].copy()
    outlier = names.split().index(deaf)
    va[:, outlier, 1] = 3.3 - 0.1 * (affect[:, 1] - 3.3) + noise[:, outlier, 1]
    middle = np.array([3.0, 3.3])
    marks = np.clip(np.rint(middle + SHRINK * scale * (va - middle)), 1, 5).astype(int)
    return Votes(gap.argmin(-1), marks[..., 0], marks[..., 1])


def _schedule(
    truth: Latents, wavs: list[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start and end in the dialogue, and the dialogue's origin in the session; s, to the ms."""
    start, end, origin = (np.zeros(len(wavs)) for _ in range(3))
    pauses = rng.uniform(0.5, 1.2, len(wavs))
    now = began = 0.0
    for i, wav in enumerate(wavs):
        if i and truth.dialogues[i] != truth.dialogues[i - 1]:
            began = np.ceil(began + now) + 6  # whole seconds, 6 s between dialogues
            now = 0.0
        start[i] = round(now + pauses[i], 2)
        now = end[i] = round(start[i] + len(wav) / SAMPLE_RATE, 2)
        origin[i] = began
    return start, end, origin


def _panel(layout: str, session: int) -> tuple[int, str, str]:
    """The panel that rated this session: (its first session, raters, outlier)."""
    return [panel for panel in PANELS[layout] if panel[0] <= session][-1]


def _rng(layout: str, seed: int, session: int, what: str) -> np.random.Generator:
    """Independent streams, so that a change to one (say, the raters) leaves the others alone."""
    streams = ("latents", "words", "voice", "ratings", "body", "raters")
    return np.random.default_rng([seed, list(PANELS).index(layout), session, streams.index(what)])


def _check(layout: str, sessions: int, utterances: int, seed: int) -> None:
    if layout not in PANELS:
        near = did_you_mean(str(layout), PANELS)
        raise ConfigError(f"layout '{layout}' is not one of {', '.join(PANELS)}{near}")
    limits = {
        "sessions": (sessions, 1, SESSIONS[layout]),
        "utterances": (utterances, 1, TURNS * len(DIALOGUES[layout])),
        "seed": (seed, 0, 2**63 - 1),
    }
    for name, (value, low, high) in limits.items():
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ConfigError(f"{name}={value!r}: a whole number {low}–{high} for {layout}")


def _claim(root: Path, layout: str, sessions: int, note: str) -> None:
    """Make `root` and put the note in it, or refuse a folder that holds something else."""
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root} is a file; name a folder for the simulated corpus")
    if root.is_dir() and any(root.iterdir()):
        there = root / SIMULATED
        if not there.is_file() or there.read_text(encoding="utf-8") != note:
            raise ConfigError(
                f"{root} is not empty and holds no simulated corpus with these settings (see its "
                f"{SIMULATED}, if any); name another folder or delete this one"
            )
        if (root / "wav" / f"Session{sessions + 1:02d}").exists():
            raise ConfigError(
                f"{root} holds more than {sessions} sessions; ask for as many, or delete it"
            )
    root.mkdir(parents=True, exist_ok=True)
    (root / SIMULATED).write_text(note, encoding="utf-8")


def _note(layout: str, utterances: int, seed: int, defects: bool) -> str:
    return (
        "SIMULATED DATA. Nobody spoke, felt or rated any of this: voices are synthesised, sentences\n"
        "come from templates, ratings from random numbers. It has the file layout of the real\n"
        f"{layout.upper()} and none of its content. Results on it say that the code works, not how\n"
        "well emotions are recognised.\n\n"
        f"layout={layout} utterances={utterances} seed={seed} defects={defects}\n"
    )
