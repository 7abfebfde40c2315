"""Korean sentences for simulated speech: wording carries valence in five grades, hardly any arousal.

`[filler] [time] subject [adverb] predicate [tail]`: fillers, times and subjects are shared by all
grades; predicate and tail are graded separately, so a sentence says more than either of its words.
Some grades differ by a negation only ("마음에 들어" / "마음에 안 들어").
"""

from __future__ import annotations

import numpy as np

FILLERS = "음 어 그 저기 있잖아 근데 그래서 야 글쎄 뭐 자 그니까".split()
TIMES = "오늘 어제 아까 이번에 요즘 아침에 저녁에 지난번 다들 우리".split()
NOUNS = (
    "회의 시험 여행 저녁 영화 약속 날씨 전화 수업 방 이사 결과 발표 계획 가게 노래 선물 동네 "
    "면접 숙제 운동 공연 기차 점심 소식 대답 이야기 생일 주말 휴가 연습 경기 드라마 일정"
).split()
ADVERBS = "정말 진짜 너무 완전 아주".split()

# Grades 1 (very negative) … 5 (very positive); grade 3 says what happened and no more.
PREDICATES = (
    "최악이었어|끔찍했어|엉망이야|완전히 망했어|지긋지긋해|참을 수가 없어|비참했어|역겨웠어|형편없었어",
    "별로였어|실망이야|마음에 안 들어|불편했어|좀 그랬어|아쉬웠어|걱정돼|힘들었어|좋지 않았어",
    "시작됐어|그대로야|그렇게 됐대|바뀌었대|다음 주래|있다고 했어|끝났어|거기였어|두 시래|정해졌어",
    "괜찮았어|마음에 들어|편했어|나쁘지 않았어|좋았어|할 만했어|재밌었어|순조로웠어|반가웠어",
    "최고였어|환상적이야|정말 행복했어|완벽했어|꿈만 같아|눈부셨어|감동이었어|끝내줬어|황홀했어",
)
TAILS = (
    "다 싫다|죽을 맛이야|이게 뭐야|미치겠네|절망이다",
    "속상하네|안 되겠다|기운 없어|곤란하네|답답하다",
    "그렇다네|알아 둬|그런가 봐|가 보자|그렇구나",
    "다행이다|고마워|잘 됐네|기대된다|마음 놓여",
    "만세|사랑해|기분 최고야|너무 좋다|축하해",
)
PREDICATE, TAIL = ([row.split("|") for row in table] for table in (PREDICATES, TAILS))
MARKS = "b/ l/ o/ u/ n/ N/ c/ * +".split()  # KEMDy's; here they carry no emotion


def sentence(valence: float, arousal: float, rng: np.random.Generator) -> str:
    """A plain sentence of about 6–16 syllables.

    >>> sentence(5.0, 3.0, np.random.default_rng(3))
    '그 수업이 정말 행복했어 기분 최고야'
    """
    words = []
    if rng.random() < 0.35:
        words.append(_pick(FILLERS, rng))
    if rng.random() < 0.3:
        words.append(_pick(TIMES, rng))
    words.append(subject(_pick(NOUNS, rng)))
    if rng.random() < 0.15 + 0.06 * (arousal - 3):  # the only trace of arousal
        words.append(_pick(ADVERBS, rng))
    words.append(_pick(PREDICATE[_grade(valence, rng)], rng))
    if rng.random() < 0.6:
        words.append(_pick(TAIL[_grade(valence, rng)], rng))
    return " ".join(words)


def transcript(text: str, rng: np.random.Generator) -> str:
    """The sentence as a KEMDy transcriber writes it: marks, overlapped speech, one line.

    >>> transcript("회의가 끝났어", np.random.default_rng(1))
    'l/ 회의가 끝났어 +\\n'
    """
    words = text.split()
    if rng.random() < 0.1:  # the other speaker talks into the last word
        words[-1] = f"({words[-1]}+{_pick(('그래', '응', '뭐', '알았어'), rng)})"
    for _ in range(rng.binomial(2, 0.25)):
        words.insert(rng.integers(len(words) + 1), _pick(MARKS, rng))
    ending = _pick(("", "", ".", "?"), rng) if words[-1] not in MARKS else ""
    return " ".join(words) + ending + (" \n" if rng.random() < 0.3 else "\n")


def subject(noun: str) -> str:
    """Noun with its particle: 이 after a final consonant, 가 after a vowel.

    >>> subject("시험"), subject("회의")
    ('시험이', '회의가')
    """
    return noun + ("이" if (ord(noun[-1]) - 0xAC00) % 28 else "가")


def _grade(valence: float, rng: np.random.Generator) -> int:
    return int(np.clip(round(valence + rng.normal(0, 0.25)), 1, 5)) - 1


def _pick(words: list[str] | tuple[str, ...], rng: np.random.Generator) -> str:
    return words[rng.integers(len(words))]
