// Golden chunks of stable-diffusion.cpp for long and weighted prompts: prints chunks.json, rows of
// [prompt, tokens, weights].
//
// With the source of stable-diffusion.cpp (commit 97d29908) in $SRC, built as a static library in $BUILD:
//   g++ -std=c++17 -I$SRC/src -I$SRC/include -I$SRC/ggml/include test/reference/chunks.cpp \
//     -Wl,--start-group $(find $BUILD -name '*.a') -Wl,--end-group -fopenmp -o chunks
//   ./chunks > test/reference/chunks.json

#include <cstdio>
#include <string>
#include <vector>

#include "core/util.h"
#include "tokenizers/clip_tokenizer.h"

static std::string repeat(const std::string& text, int count) {
    std::string result;
    while (count-- > 0) result += text;
    return result;
}

int main() {
    const std::string detailed = "masterpiece, best quality, ((very detailed)), a (red:1.3) [cube] on a table, it's 8k, ";
    const std::vector<std::string> prompts = {
        "",
        "a photo of a cat",
        "a (red:1.3) [cube] ((on)) a (big (wooden:0.7) table",
        "a BREAK b (c:1.2) BREAK d",
        "BREAK a BREAK BREAK b BREAK",
        repeat("cat ", 75) + "BREAK dog",
        repeat("cat ", 74) + ", dog",
        repeat(detailed, 5),
        detailed + "BREAK " + repeat(detailed, 4) + "BREAK (the end:-0.5)",
    };

    CLIPTokenizer tokenizer(49407, "");
    const char* separator = "[\n";
    for (const std::string& prompt : prompts) {
        std::vector<int> tokens;
        std::vector<float> weights;
        auto append = [&](const std::vector<int>& ids, float weight) {
            tokens.insert(tokens.end(), ids.begin(), ids.end());
            weights.insert(weights.end(), ids.size(), weight);
        };
        for (const auto& [text, weight] : parse_prompt_attention(prompt)) {
            const bool is_break = text == "BREAK" && weight == -1.0f;
            if (is_break) append(std::vector<int>((75 - tokens.size() % 75) % 75, tokenizer.EOS_TOKEN_ID), 1.0f);
            else append(tokenizer.encode(text, nullptr), weight);
        }
        tokenizer.pad_tokens(tokens, &weights, nullptr, 77, 77, true);

        std::printf("%s[\"%s\",[", separator, prompt.c_str());
        for (size_t i = 0; i < tokens.size(); i++) std::printf("%s%d", i ? "," : "", tokens[i]);
        std::printf("],[");
        for (size_t i = 0; i < weights.size(); i++) std::printf("%s%.7g", i ? "," : "", weights[i]);
        std::printf("]]");
        separator = ",\n";
    }
    std::printf("\n]\n");
}
