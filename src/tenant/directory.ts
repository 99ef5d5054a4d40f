/**
 * All tenants and users of one configuration, found by name. The records are the configuration's own: what a tenant needs
 * to run (state, account, cells) is made when it is first used, so one that nobody uses costs its record and its places
 * here, some hundred bytes. Pure; a reload builds a new one.
 *
 *   user name --Map--> number n --> users[n], owners[n]        tenant id --Map--> the record
 */
import type { Slices } from '../base/slices.ts'

export interface DirectoryUser {
  readonly name: string
}

export interface DirectoryTenant<U extends DirectoryUser> {
  readonly id: string
  readonly users: readonly U[]
}

/** `tenant` undefined: an operator. */
export interface Found<T, U> {
  readonly tenant: T | undefined
  readonly user: U
}

export interface DirectoryConfig<U, T> {
  readonly tenants: readonly T[]
  readonly operators: readonly U[]
}

export class Directory<U extends DirectoryUser, T extends DirectoryTenant<U>> {
  readonly tenants: readonly T[]
  readonly #byId = new Map<string, T>()
  /** A small number a user and two arrays: a third of what an object for each would take. */
  readonly #byUser = new Map<string, number>()
  readonly #users: U[] = []
  readonly #owners: (T | undefined)[] = []

  /** Names occur once: the configuration was checked. */
  constructor(config: DirectoryConfig<U, T>) {
    const steps = this.#fill(config)
    this.tenants = config.tenants
    while (steps.next().done !== true);
  }

  /** The same in slices: of a hundred thousand tenants it takes some fifty milliseconds. */
  static async inSlices<U extends DirectoryUser, T extends DirectoryTenant<U>>(
    config: DirectoryConfig<U, T>,
    slices: Slices,
  ): Promise<Directory<U, T>> {
    const directory = new Directory<U, T>({ tenants: [], operators: [] })
    ;(directory as { tenants: readonly T[] }).tenants = config.tenants
    for (const steps = directory.#fill(config); steps.next().done !== true; ) if (slices.isOver) await slices.rest()
    return directory
  }

  /** A step a tenant. */
  *#fill(config: DirectoryConfig<U, T>): Generator<undefined, void> {
    for (const tenant of config.tenants) {
      this.#byId.set(tenant.id, tenant)
      for (const user of tenant.users) this.#add(user, tenant)
      yield
    }
    for (const user of config.operators) this.#add(user, undefined)
  }

  tenant(id: string): T | undefined {
    return this.#byId.get(id)
  }

  user(name: string): Found<T, U> | undefined {
    const at = this.userNumber(name)
    return at < 0 ? undefined : this.userAt(at)
  }

  get userCount(): number {
    return this.#users.length
  }

  /** From 0; -1: nobody has this name. */
  userNumber(name: string): number {
    return this.#byUser.get(name) ?? -1
  }

  userAt(at: number): Found<T, U> {
    return { tenant: this.#owners[at], user: this.#users[at]! }
  }

  *ids(): IterableIterator<string> {
    for (const { id } of this.tenants) yield id
  }

  #add(user: U, owner: T | undefined): void {
    this.#byUser.set(user.name, this.#users.length)
    this.#users.push(user)
    this.#owners.push(owner)
  }
}
