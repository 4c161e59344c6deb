// What the tokens of each programming language look like. The rules are tried in order, within one line.

const word = (words) => new Set(words.split(" "));
const NUMBER = ["number", String.raw`(?<!\w|\w\.)\d(?:\w|\.\d)*(?:(?<=[eE])[+-]\d+)?`];
const WORD = ["word", String.raw`[A-Za-z_$][\w$]*`];
const QUOTED = ["string", String.raw`"(?:[^"\\]|\\.|\\$)*"?`];
const SINGLE_QUOTED = ["string", String.raw`'(?:[^'\\]|\\.|\\$)*'?`];
const SLASHES = ["comment", "//.*"];
const BLOCK_COMMENT = ["comment", String.raw`/\*`, String.raw`.*?\*/`];
const HASH_COMMENT = ["comment", String.raw`(?<![^\s;])#.*`];
const BACKTICKS = ["string", "`", String.raw`(?:[^\`\\]|\\.)*\``];

const C_WORDS = "auto break case char const continue default do double else enum extern float for goto if inline int long register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool true false NULL";
const CPP_WORDS = `${C_WORDS} alignas alignof and catch class co_await co_return co_yield concept consteval constexpr constinit const_cast decltype delete dynamic_cast explicit export final friend mutable namespace new noexcept nullptr operator or override private protected public reinterpret_cast requires static_assert static_cast template this throw try typeid typename using virtual`;
const JAVASCRIPT_WORDS = "async await break case catch class const continue debugger default delete do else export extends false finally for from function get if import in instanceof let new null of return set static super switch this throw true try typeof undefined var void while with yield";

/**
 * By language: `words` are its keywords, `rules` are `[kind, pattern]` or, for a token that may go on over several lines,
 * `[kind, pattern of its beginning, pattern of the rest to its end]`. The kind `word` is a keyword if `words` has it, and else plain text.
 */
export const LANGUAGES = {
  python: {
    words: word("and as assert async await break case class continue def del elif else except False finally for from global if import in is lambda match None nonlocal not or pass raise return True try while with yield"),
    rules: [["comment", "#.*"], ["string", '[a-zA-Z]{0,2}"""', '.*?"""'], ["string", "[a-zA-Z]{0,2}'''", ".*?'''"], ["string", `[bfrtuBFRTU]{0,2}${QUOTED[1]}`], ["string", `[bfrtuBFRTU]{0,2}${SINGLE_QUOTED[1]}`], ["name", String.raw`@[\w.]+`], NUMBER, WORD],
  },
  javascript: { words: word(JAVASCRIPT_WORDS), rules: [SLASHES, BLOCK_COMMENT, QUOTED, SINGLE_QUOTED, BACKTICKS, NUMBER, WORD] },
  typescript: {
    words: word(`${JAVASCRIPT_WORDS} abstract any as asserts bigint boolean declare enum implements infer interface is keyof namespace never number object private protected public readonly satisfies string symbol type unknown`),
    rules: [SLASHES, BLOCK_COMMENT, QUOTED, SINGLE_QUOTED, BACKTICKS, ["name", String.raw`@[\w.]+`], NUMBER, WORD],
  },
  json: { words: word("true false null"), rules: [["name", String.raw`"(?:[^"\\]|\\.)*"(?=\s*:)`], QUOTED, SLASHES, BLOCK_COMMENT, ["number", String.raw`-?\d(?:\w|\.\d)*(?:(?<=[eE])[+-]\d+)?`], WORD] },
  shell: {
    words: word("break case cd continue declare do done echo elif else esac eval exec exit export fi for function if in local read readonly return select set shift source then trap unset until while"),
    rules: [HASH_COMMENT, ["string", "'", "[^']*'"], ["string", '"', String.raw`(?:[^"\\]|\\.)*"`], ["name", String.raw`\$(?:\w+|\{[^}]*\}?|[@#?$!*-])`], ["number", String.raw`(?<![\w./:=-])\d+(?![\w./:-])`], ["word", String.raw`[A-Za-z_][\w-]*`]],
  },
  sql: {
    isCaseIgnored: true,
    words: word("add all alter and any as asc begin between by case cast check column commit constraint create cross database default delete desc distinct drop else end except exists false fetch foreign from full function grant group having if in index inner insert intersect into is join key lateral left like limit not null offset on or order outer over partition primary procedure recursive references returning revoke right rollback row rows schema select set table temporary then to transaction trigger true truncate union unique update using values view when where with"),
    rules: [["comment", "--.*"], BLOCK_COMMENT, ["string", "'", "[^']*'"], ["name", '"[^"]*"?'], NUMBER, WORD],
  },
  go: {
    words: word("any bool break byte case chan const continue default defer else error fallthrough false float32 float64 for func go goto if import int int32 int64 interface iota map nil package range return rune select string struct switch true type uint uint32 uint64 var"),
    rules: [SLASHES, BLOCK_COMMENT, QUOTED, SINGLE_QUOTED, ["string", "`", "[^`]*`"], NUMBER, WORD],
  },
  rust: {
    words: word("as async await bool box break char const continue crate dyn else enum extern f32 f64 false fn for i8 i16 i32 i64 i128 if impl in isize let loop match mod move mut pub ref return self Self static str struct super trait true type u8 u16 u32 u64 u128 unsafe use usize where while"),
    rules: [SLASHES, BLOCK_COMMENT, ["string", 'b?r#+"', '.*?"#+'], ["string", 'b?r"', '[^"]*"'], ["string", 'b?"', String.raw`(?:[^"\\]|\\.)*"`], ["string", String.raw`b?'(?:[^'\\]|\\[^']+|\\')'`], ["name", String.raw`'\w+|#!?\[[^\]]*\]?`], ["name", String.raw`\w+!(?=[\s(\[{])`], NUMBER, WORD],
  },
  java: {
    words: word("abstract assert boolean break byte case catch char class const continue default do double else enum extends false final finally float for if implements import instanceof int interface long native new null package permits private protected public record return sealed short static strictfp super switch synchronized this throw throws transient true try var void volatile while yield"),
    rules: [SLASHES, BLOCK_COMMENT, ["string", '"""', '.*?"""'], QUOTED, SINGLE_QUOTED, ["name", String.raw`@[\w.]+`], NUMBER, WORD],
  },
  c: { words: word(C_WORDS), rules: [SLASHES, BLOCK_COMMENT, ["keyword", String.raw`^\s*#\s*\w+`], QUOTED, SINGLE_QUOTED, NUMBER, WORD] },
  cpp: { words: word(CPP_WORDS), rules: [SLASHES, BLOCK_COMMENT, ["keyword", String.raw`^\s*#\s*\w+`], QUOTED, SINGLE_QUOTED, NUMBER, WORD] },
  html: {
    words: new Set(),
    rules: [["comment", "<!--", ".*?-->"], ["keyword", String.raw`</?[A-Za-z!?][\w:-]*|[/?]?>`], ["name", String.raw`(?<![\w:@.-])[\w:@.-]+(?==)`], ["string", String.raw`(?<==)(?:"[^"]*"?|'[^']*'?)`], ["number", String.raw`&#?\w+;`]],
  },
  css: {
    words: new Set(),
    rules: [BLOCK_COMMENT, QUOTED, SINGLE_QUOTED, ["keyword", String.raw`@[\w-]+|!important`], ["number", String.raw`#[\da-fA-F]{3,8}\b|(?<![\w-])-?\d*\.?\d+(?:%|[a-z]+)?`], ["name", String.raw`(?<![.#:\w-])-{0,2}[A-Za-z][\w-]*(?=\s*:)|--[\w-]+`]],
  },
  yaml: {
    words: word("true false null yes no on off True False Null"),
    rules: [HASH_COMMENT, ["name", String.raw`"[^"]*"(?=\s*:(?:\s|$))|(?<![^\s\[{,])[\w./$-]+(?=\s*:(?:\s|$))`], ["string", String.raw`(?<![^\s\[{,:])(?:"(?:[^"\\]|\\.|\\$)*"?|'[^']*'?)`], ["keyword", String.raw`^---|^\.\.\.|(?<![^\s])[&*][\w-]+`], ["number", String.raw`(?<![^\s\[{,])-?\d[\d._]*(?:[eE][+-]?\d+)?(?![^\s\]},])`], ["word", String.raw`[A-Za-z_][\w./-]*`]],
  },
};

/** Other names of the languages, in lower case. */
export const ALIASES = {
  py: "python", python3: "python", js: "javascript", mjs: "javascript", cjs: "javascript", jsx: "javascript", node: "javascript", ts: "typescript", tsx: "typescript", jsonc: "json", json5: "json", jsonl: "json",
  sh: "shell", bash: "shell", zsh: "shell", sqlite: "sql", postgresql: "sql", postgres: "sql", mysql: "sql", plsql: "sql", golang: "go", rs: "rust", h: "c", "c++": "cpp", cc: "cpp", cxx: "cpp", hpp: "cpp",
  htm: "html", xml: "html", svg: "html", xhtml: "html", yml: "yaml",
};
