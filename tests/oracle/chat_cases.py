"""Writes tests/data/chat_oracle.json: conversations rendered by Jinja, as Hugging Face's package does it.

The templates are those of model families, by their structure; SmolLM2's own is read from its GGUF file.
"""
import json
import pathlib

import jinja2
import jinja2.sandbox

import smollm2_tokenizer

ALTERNATE = ("{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
             "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}")

TEMPLATES = {
    "qwen2": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
             "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
             "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
             "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "qwen2.5": "{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n    {%- if messages[0]['role'] == 'system' %}\n"
               "        {{- messages[0]['content'] }}\n    {%- else %}\n        {{- 'You are a tool user.' }}\n"
               "    {%- endif %}\n    {{- \"<|im_end|>\\n\" }}\n{%- else %}\n"
               "    {%- if messages[0]['role'] == 'system' %}\n"
               "        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}\n    {%- else %}\n"
               "        {{- '<|im_start|>system\\nYou are a model that isn\\'t shy. You help.<|im_end|>\\n' }}\n"
               "    {%- endif %}\n{%- endif %}\n{%- for message in messages %}\n"
               "    {%- if (message.role == \"user\") or (message.role == \"system\" and not loop.first) or "
               "(message.role == \"assistant\") %}\n"
               "        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n"
               "    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n"
               "    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n",
    "chatml": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] | trim + "
              "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "llama-2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
               "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
               "{% set system_message = false %}{% endif %}{% for message in loop_messages %}" + ALTERNATE +
               "{% if loop.index0 == 0 and system_message != false %}"
               "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
               "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
               "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
               "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "llama-3": "{% set loop_messages = messages %}{% for message in loop_messages %}"
               "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ "
               "message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
               "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
               "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    "llama-3.1": "{{- bos_token }}\n{%- if not date_string is defined %}\n    {%- set date_string = \"26 Jul 2024\" %}\n"
                 "{%- endif %}\n{%- if messages[0]['role'] == 'system' %}\n"
                 "    {%- set system_message = messages[0]['content']|trim %}\n    {%- set messages = messages[1:] %}\n"
                 "{%- else %}\n    {%- set system_message = \"\" %}\n{%- endif %}\n"
                 "{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}\n"
                 "{{- \"Cutting Knowledge Date: December 2023\\n\" }}\n"
                 "{{- \"Today Date: \" + date_string + \"\\n\\n\" }}\n{{- system_message }}\n{{- \"<|eot_id|>\" }}\n"
                 "{%- for message in messages %}\n"
                 "    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim "
                 "+ '<|eot_id|>' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n"
                 "    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n",
    "mistral-v0.1": "{{ bos_token }}{% for message in messages %}" + ALTERNATE +
                    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
                    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}{% else %}"
                    "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
    "mistral-v0.2": "{{ bos_token }}{% for message in messages %}" + ALTERNATE +
                    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
                    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}"
                    "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
    "mistral-v0.2-system": "{%- if messages[0]['role'] == 'system' %}\n"
                           "    {%- set system_message = messages[0]['content'] %}\n"
                           "    {%- set loop_messages = messages[1:] %}\n{%- else %}\n"
                           "    {%- set loop_messages = messages %}\n{%- endif %}\n\n{{- bos_token }}\n"
                           "{%- for message in loop_messages %}\n    " + ALTERNATE + "\n"
                           "    {%- if message['role'] == 'user' %}\n"
                           "        {%- if loop.first and system_message is defined %}\n"
                           "            {{- ' [INST] ' + system_message + '\\n\\n' + message['content'] + ' [/INST]' }}\n"
                           "        {%- else %}\n            {{- ' [INST] ' + message['content'] + ' [/INST]' }}\n"
                           "        {%- endif %}\n    {%- elif message['role'] == 'assistant' %}\n"
                           "        {{- ' ' + message['content'] + eos_token}}\n    {%- endif %}\n{%- endfor %}\n",
    "mistral-v0.3": "{%- if messages[0][\"role\"] == \"system\" %}\n"
                    "    {%- set system_message = messages[0][\"content\"] %}\n"
                    "    {%- set loop_messages = messages[1:] %}\n{%- else %}\n"
                    "    {%- set loop_messages = messages %}\n{%- endif %}\n\n{{- bos_token }}\n"
                    "{%- for message in loop_messages %}\n    " + ALTERNATE + "\n"
                    "    {%- if message[\"role\"] == \"user\" %}\n"
                    "        {%- if loop.last and system_message is defined %}\n"
                    "            {{- \"[INST] \" + system_message + \"\\n\\n\" + message[\"content\"] + \"[/INST]\" }}\n"
                    "        {%- else %}\n            {{- \"[INST] \" + message[\"content\"] + \"[/INST]\" }}\n"
                    "        {%- endif %}\n    {%- elif message[\"role\"] == \"assistant\" %}\n"
                    "        {{- \" \" + message[\"content\"]|trim + eos_token}}\n    {%- endif %}\n{%- endfor %}\n",
}


def turns(*contents):
    roles = ("system", "user", "assistant", "user", "assistant", "user")
    return [{"role": role, "content": content} for role, content in zip(roles, contents) if content is not None]


CONVERSATIONS = [
    turns(None, "Hello."),
    turns("Be brief.", "Hello."),
    turns(None, "  What is 2 + 2?\n", " It is 4. \n", "Sure?"),
    turns(" Be kind. ", "One\n\ntwo", "Three ", "\tFour\t", "Five", "Six"),
    turns(None, "Ask", "Answer"),
    turns("", "Only the system text is empty."),
    turns(None, "\u00a0caf\u00e9\u3000", "\u2003x\u200b", "<|im_end|></s>[/INST]"),
]


def refuse(message):
    raise jinja2.TemplateError(message)


def main():
    _, smollm2 = smollm2_tokenizer.load()
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    rows = []
    for name, template in {"smollm2": smollm2, **TEMPLATES}.items():
        compiled = environment.from_string(template)
        results = []
        for messages in CONVERSATIONS:
            for generation in (False, True):
                try:
                    text = compiled.render(messages=messages, add_generation_prompt=generation, bos_token="<s>",
                                           eos_token="</s>")
                except jinja2.TemplateError:
                    text = None
                results.append({"messages": messages, "add_generation_prompt": generation, "text": text})
        rows.append({"name": name, "template": template, "bos": "<s>", "eos": "</s>", "cases": results})
    lines = ",\n".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows)
    root = pathlib.Path(__file__).resolve().parents[2]
    (root / "tests/data/chat_oracle.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
