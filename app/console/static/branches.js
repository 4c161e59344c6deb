// Turns of a conversation as a tree, of which one path is shown.

const BEFORE_THE_FIRST = "none"; // `previousId` of another first turn

export class Branches {
  /** All turns that are loaded, oldest first. */
  turns = [];
  /** Whether the first turns of the conversation are loaded. */
  isWhole = true;
  /** The last turn of the path that is shown; null without turns. */
  last = null;
  #parents = null; // by the turn
  #groups = null; // turns that continue the same one, by what they have in common

  /** Return the turns that are shown, from the first to the last. */
  get path() {
    return this.#pathTo(this.last);
  }

  /** Add older turns; the first that are loaded make the newest path the one that is shown. */
  addEarlier(turns, isWhole) {
    this.turns.unshift(...turns);
    this.#forget();
    this.isWhole = isWhole;
    this.last ??= this.turns.at(-1) ?? null;
  }

  /** Add turns that were begun elsewhere; those that continue the path are shown. */
  addNewer(turns) {
    this.turns.push(...turns);
    this.#forget();
    this.last = this.last === null ? this.turns.at(-1) : this.#newestAfter(this.last);
  }

  /** Add a new turn behind `parent`, or as a first one where that is null, and show it. */
  add(turn, parent) {
    turn.parent = parent;
    this.turns.push(turn);
    this.#forget();
    this.last = turn;
  }

  /** Show the path through `turn` with the newest turns after it. */
  show(turn) {
    this.last = this.#newestAfter(turn);
  }

  /** Return the loaded turn that `turn` continues; null if there is none. */
  parentOf(turn) {
    this.#parents ??= new Map(this.turns.map((each, index) => [each, this.#findParent(each, index)]));
    return this.#parents.get(turn);
  }

  /** Return whether the turn that `turn` continues may be one of the older ones that are not loaded. */
  isParentMissing(turn) {
    return !this.isWhole && turn.parent === undefined && turn.previousId !== BEFORE_THE_FIRST && this.parentOf(turn) === null;
  }

  /** Return the turns that continue the same one as `turn`, with itself, oldest first. */
  besides(turn) {
    this.#groups ??= Map.groupBy(this.turns, (each) => this.#startOf(each));
    return this.#groups.get(this.#startOf(turn));
  }

  /**
   * Return the fields of a request that put its turn behind `parent`. Without branches that is the conversation, whose turns
   * all go before the prompt; otherwise the turn to continue.
   */
  placeAfter(parent, conversationId) {
    const before = this.#pathTo(parent);
    const isLinear = this.turns.filter(isStored).every((turn) => !turn.previousId && before.includes(turn));
    if (isLinear) return { conversationId };
    const previous = before.findLast(isStored);
    return previous ? { previousId: previous.id } : { conversationId, previousId: BEFORE_THE_FIRST };
  }

  #forget() {
    this.#parents = this.#groups = null;
  }

  #findParent({ parent, previousId }, index) {
    if (parent !== undefined) return parent;
    if (previousId === BEFORE_THE_FIRST) return null;
    if (previousId) return this.turns.findLast(({ id }) => id !== null && id <= previousId) ?? null;
    return this.turns[index - 1] ?? null;
  }

  #pathTo(turn) {
    const path = [];
    for (let each = turn; each; each = this.parentOf(each)) path.push(each);
    return path.reverse();
  }

  /** Return the newest turn that continues `turn`, directly or not; `turn` itself if none does. */
  #newestAfter(turn) {
    const found = new Set([turn]);
    for (const each of this.turns) if (found.has(this.parentOf(each))) found.add(each);
    return [...found].at(-1);
  }

  /** Return what `turn` has in common with the turns beside it: the turn before, or what is known of one that is not loaded. */
  #startOf(turn) {
    const parent = this.parentOf(turn);
    if (parent !== null || !this.isParentMissing(turn)) return parent;
    return turn.previousId ?? "missing";
  }
}

/** Return whether a request may name the turn: it is in the history, with its content. */
function isStored({ id, isStored: isKept, interaction }) {
  return id !== null && isKept && interaction?.stored !== false;
}
