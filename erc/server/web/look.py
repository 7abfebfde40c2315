"""How the page looks: fonts of the system, one accent, light and dark. The rest is `web.css`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

STYLE = Path(__file__).parent / "web.css"
HEAD = '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'
LOOK = {  # where Gradio's own parts take their colours from; everything else is in web.css
    "body_background_fill": "#f5f6f8", "block_background_fill": "#ffffff",
    "block_border_color": "#dfe3e8", "block_label_text_color": "#55606d",
    "block_title_text_color": "#16202b", "block_info_text_color": "#55606d",
    "body_text_color": "#16202b", "body_text_color_subdued": "#55606d",
    "button_primary_background_fill": "#1f5fbf", "button_primary_background_fill_hover": "#184e9f",
    "button_primary_text_color": "#ffffff", "button_secondary_background_fill": "#e4e8ee",
    "input_background_fill": "#f5f6f8", "input_placeholder_color": "#55606d",
}  # fmt: skip
DARK = LOOK | {
    "body_background_fill": "#101418", "block_background_fill": "#181d23",
    "block_border_color": "#2d353e", "block_label_text_color": "#a9b4c0",
    "block_title_text_color": "#e8ecf1", "block_info_text_color": "#a9b4c0",
    "body_text_color": "#e8ecf1", "body_text_color_subdued": "#a9b4c0",
    "button_primary_background_fill_hover": "#2f6fd0", "button_secondary_background_fill": "#2a323b",
    "input_background_fill": "#101418", "input_placeholder_color": "#a9b4c0",
}  # fmt: skip


def theme(gr: Any) -> Any:
    """Fonts of the system, one accent, generous corners."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "sans-serif"]
    return gr.themes.Base(
        font=fonts,
        font_mono=["ui-monospace", "Consolas", "monospace"],
        neutral_hue="slate",
        primary_hue="blue",
        radius_size="lg",
    ).set(**LOOK | {f"{key}_dark": value for key, value in DARK.items()})
