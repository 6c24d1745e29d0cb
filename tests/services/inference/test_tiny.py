"""The tiny generator is a whole one: what other tests build on."""

from __future__ import annotations

from pathlib import Path

from tests.services.inference.tiny import make_tiny_generator


def test_the_tiny_generator_reads_a_conversation_in_any_script_and_writes_the_same_again(
    tmp_path: Path,
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        make_tiny_generator(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder)
        said = [{"role": "user", "content": "退货 ok? 👋"}]
        ids = tokenizer.apply_chat_template(
            said, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"]
        assert tokenizer.decode(ids[0]) == "<s><|user|>退货 ok? 👋</s><|assistant|>"
        written.append(model.generate(ids, max_new_tokens=5, do_sample=False)[0].tolist())
    assert written[0] == written[1]
    assert len(written[0]) > ids.shape[1]
    assert sorted(path.suffix for path in folder.iterdir()).count(".safetensors") == 1
