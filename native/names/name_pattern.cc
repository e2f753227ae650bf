// See name_pattern.h. The automaton is Thompson's (1968).
#include "names/name_pattern.h"

namespace diffusion {

namespace {

constexpr size_t longest = 1000;
constexpr int deepest = 50; // groups in groups

std::vector<bool> set_of(std::string_view characters) {
    std::vector<bool> set(256);
    for (const char c : characters) set[static_cast<uint8_t>(c)] = true;
    return set;
}

// The character after a backslash.
std::optional<std::vector<bool>> escaped(char c) {
    constexpr std::string_view digits = "0123456789",
                               words = "0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (c == 'd') return set_of(digits);
    if (c == 'w') return set_of(words);
    const bool letter = words.substr(11).find(c) != std::string_view::npos || digits.find(c) != std::string_view::npos;
    return letter ? std::nullopt : std::optional(set_of({&c, 1}));
}

} // namespace

// Builds the automaton from its end: each part gets the step that follows it.
class PatternParser {
public:
    explicit PatternParser(std::string_view text) : text_(text) {}

    std::optional<NamePattern> parse() {
        if (text_.size() > longest) return std::nullopt;
        Fragment pattern = alternatives(0);
        if (failed_ || at_ < text_.size()) return std::nullopt;
        close(pattern, add({NamePattern::Step::done, 0, 0, {}}));
        pattern_.start_ = pattern.start;
        return std::move(pattern_);
    }

private:
    using Step = NamePattern::Step;
    // A part of the automaton: its start, and the links to what follows.
    struct Fragment {
        size_t start = 0;
        std::vector<std::pair<size_t, bool>> ends; // step, and whether it is its `other`
    };

    size_t add(Step step) {
        pattern_.steps_.push_back(std::move(step));
        return pattern_.steps_.size() - 1;
    }
    void close(const Fragment & fragment, size_t next) {
        for (const auto & [step, other] : fragment.ends) {
            (other ? pattern_.steps_[step].other : pattern_.steps_[step].next) = next;
        }
    }
    bool more() const { return !failed_ && at_ < text_.size(); }
    bool take(char c) {
        if (!more() || text_[at_] != c) return false;
        at_++;
        return true;
    }
    Fragment single(Step step) {
        const size_t start = add(std::move(step));
        return {start, {{start, false}}};
    }

    Fragment alternatives(int depth) {
        Fragment all = sequence(depth);
        while (take('|')) {
            const Fragment one = sequence(depth);
            const size_t branch = add({Step::branch, all.start, one.start, {}});
            all.start = branch;
            all.ends.insert(all.ends.end(), one.ends.begin(), one.ends.end());
        }
        return all;
    }

    Fragment sequence(int depth) {
        // One that reads nothing, so that an empty sequence is one too.
        Fragment all = single({Step::branch, 0, SIZE_MAX, {}});
        while (more() && text_[at_] != '|' && text_[at_] != ')') {
            Fragment one = repeated(depth);
            close(all, one.start);
            all.ends = std::move(one.ends);
        }
        return all;
    }

    Fragment repeated(int depth) {
        Fragment one = atom(depth);
        if (!more()) return one;
        const char sign = text_[at_];
        if (sign != '*' && sign != '+' && sign != '?') return one;
        at_++;
        const size_t branch = add({Step::branch, one.start, SIZE_MAX, {}});
        if (sign == '?') {
            one.start = branch;
            one.ends.emplace_back(branch, true);
            return one;
        }
        close(one, branch);
        return {sign == '*' ? branch : one.start, {{branch, true}}};
    }

    Fragment atom(int depth) {
        const char c = text_[at_++];
        switch (c) {
            case '.': return single({Step::read, 0, 0, std::vector<bool>(256, true)});
            case '^': return single({Step::begin, 0, 0, {}});
            case '$': return single({Step::end, 0, 0, {}});
            case '[': return single({Step::read, 0, 0, brackets()});
            case '(': return group(depth);
            case '\\': {
                const auto set = more() ? escaped(text_[at_++]) : std::nullopt;
                if (set) return single({Step::read, 0, 0, *set});
                [[fallthrough]];
            }
            case '*':
            case '+':
            case '?':
            case '{': failed_ = true; return {};
            default: return single({Step::read, 0, 0, set_of({&c, 1})});
        }
    }

    Fragment group(int depth) {
        if (take('?') && !take(':')) failed_ = true;
        if (depth == deepest) failed_ = true;
        if (failed_) return {};
        Fragment inner = alternatives(depth + 1);
        if (!take(')')) failed_ = true;
        return inner;
    }

    std::vector<bool> brackets() {
        std::vector<bool> set(256);
        const bool inverted = take('^');
        bool first = true;
        while (more() && (first || text_[at_] != ']')) {
            first = false;
            const auto from = static_cast<uint8_t>(text_[at_++]);
            if (from == '\\') {
                const auto one = more() ? escaped(text_[at_++]) : std::nullopt;
                if (!one) failed_ = true;
                for (size_t i = 0; one && i < set.size(); i++) set[i] = set[i] || (*one)[i];
                continue;
            }
            auto to = from;
            if (at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']') {
                to = static_cast<uint8_t>(text_[at_ + 1]);
                at_ += 2;
            }
            for (int i = from; i <= to; i++) set[static_cast<size_t>(i)] = true;
        }
        if (!take(']')) failed_ = true;
        if (inverted) set.flip();
        return set;
    }

    std::string_view text_;
    size_t at_ = 0;
    bool failed_ = false;
    NamePattern pattern_;
};

std::optional<NamePattern> NamePattern::parse(std::string_view text) {
    return PatternParser(text).parse();
}

// Marks every step that is reachable without reading.
void NamePattern::follow(size_t step, bool at_begin, bool at_end, std::vector<bool> & reached) const {
    std::vector<size_t> waiting{step};
    while (!waiting.empty()) {
        const size_t at = waiting.back();
        waiting.pop_back();
        if (at >= steps_.size() || reached[at]) continue;
        reached[at] = true;
        const Step & s = steps_[at];
        if (s.kind == Step::branch) waiting.insert(waiting.end(), {s.next, s.other});
        if ((s.kind == Step::begin && at_begin) || (s.kind == Step::end && at_end)) waiting.push_back(s.next);
    }
}

bool NamePattern::matches(std::string_view name) const {
    std::vector<bool> reached(steps_.size());
    for (size_t i = 0;; i++) {
        const bool end = i == name.size();
        if (i == 0 || name[i - 1] == '.') follow(start_, i == 0, end, reached);
        if (end) break;
        std::vector<bool> next(steps_.size());
        for (size_t s = 0; s < steps_.size(); s++) {
            if (!reached[s] || steps_[s].kind != Step::read) continue;
            if (steps_[s].set[static_cast<uint8_t>(name[i])]) follow(steps_[s].next, false, i + 1 == name.size(), next);
        }
        reached.swap(next);
    }
    for (size_t s = 0; s < steps_.size(); s++) {
        if (reached[s] && steps_[s].kind == Step::done) return true;
    }
    return false;
}

} // namespace diffusion
