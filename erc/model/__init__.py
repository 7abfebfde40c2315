"""The model: encoders × fusion × head. `erc.model.emotion.EmotionModel` puts them together."""
