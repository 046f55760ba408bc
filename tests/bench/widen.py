# SPDX-License-Identifier: GPL-3.0-or-later
"""A Llama model with channels of zeros added, so that widths become multiples of 256. It computes the same."""
import math

ALIGNMENT = 256


def up(size):
    return -(-size // ALIGNMENT) * ALIGNMENT


def widen(folder, target):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    old = model.config
    head = old.hidden_size // old.num_attention_heads
    hidden, inner = up(old.hidden_size), up(old.intermediate_size)
    # Each group of query heads gets the same number of heads of zeros.
    group = up(old.num_attention_heads * head) // head // old.num_key_value_heads
    old_group = old.num_attention_heads // old.num_key_value_heads
    heads = group * old.num_key_value_heads
    assert heads * head % ALIGNMENT == 0, "heads do not fill super-blocks"
    config = type(old).from_dict(old.to_dict() | {
        "hidden_size": hidden, "intermediate_size": inner, "num_attention_heads": heads, "head_dim": head,
        # The mean square of a norm is over more channels now.
        "rms_norm_eps": old.rms_norm_eps * old.hidden_size / hidden})
    norm_factor = math.sqrt(old.hidden_size / hidden)

    def grown(values, name):
        if name.endswith("norm.weight"):
            values = values * norm_factor
        if "q_proj" in name:
            values = spread_heads(values)
        if "o_proj" in name:
            values = spread_heads(values.T).T
        new = torch.zeros(wide.state_dict()[name].shape)
        new[tuple(slice(0, size) for size in values.shape)] = values
        return new

    def spread_heads(rows):
        new = torch.zeros(old.num_key_value_heads, group, head, rows.shape[1])
        new[:, :old_group] = rows.reshape(old.num_key_value_heads, old_group, head, -1)
        return new.reshape(heads * head, -1)

    wide = AutoModelForCausalLM.from_config(config)
    wide.load_state_dict({name: grown(values, name) for name, values in model.state_dict().items()})
    ids = torch.arange(100, 140).reshape(1, -1)
    with torch.no_grad():
        difference = (wide(ids).logits - model(ids).logits).abs().max().item()
    assert difference < 1e-2, f"the widened model computes something else: {difference}"
    wide.to(torch.bfloat16).save_pretrained(target)
    AutoTokenizer.from_pretrained(folder).save_pretrained(target)
