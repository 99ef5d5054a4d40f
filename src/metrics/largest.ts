/**
 * The N largest of many, without sorting all of them: a heap whose top is the smallest that is kept. Of equals the name that
 * comes first in the alphabet is larger. Pure.
 */
interface Item {
  readonly name: string
  readonly size: number
}

export class Largest {
  readonly #max: number
  readonly #heap: Item[] = []

  /** Infinity: all. */
  constructor(max: number) {
    this.#max = max
  }

  add(name: string, size: number): void {
    const heap = this.#heap
    const item = { name, size }
    if (heap.length < this.#max) {
      heap.push(item)
      if (this.#max !== Number.POSITIVE_INFINITY) this.#up(heap.length - 1)
    } else if (heap.length > 0 && isSmaller(heap[0]!, item)) {
      heap[0] = item
      this.#down(0)
    }
  }

  names(): Set<string> {
    return new Set(this.#heap.map(({ name }) => name))
  }

  /** The largest first. */
  namesBySize(): string[] {
    return [...this.#heap].sort((a, b) => (isSmaller(a, b) ? 1 : -1)).map(({ name }) => name)
  }

  #up(from: number): void {
    const heap = this.#heap
    for (let at = from; at > 0; ) {
      const above = (at - 1) >> 1
      if (!isSmaller(heap[at]!, heap[above]!)) return
      this.#swap(at, above)
      at = above
    }
  }

  #down(from: number): void {
    const heap = this.#heap
    for (let at = from; ; ) {
      const left = 2 * at + 1
      if (left >= heap.length) return
      const least = left + 1 < heap.length && isSmaller(heap[left + 1]!, heap[left]!) ? left + 1 : left
      if (!isSmaller(heap[least]!, heap[at]!)) return
      this.#swap(at, least)
      at = least
    }
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap
    const item = heap[a]!
    heap[a] = heap[b]!
    heap[b] = item
  }
}

function isSmaller(a: Item, b: Item): boolean {
  return a.size < b.size || (a.size === b.size && a.name > b.name)
}
