/**
 * What ioredis does with replies of a form that it does not expect. Where a subscription is, it reads into them without
 * looking (`reply[0].toString()`), and throws what comes of that where nobody can catch it: a Sentinel or a node that
 * answers SUBSCRIBE with `:1` would end this process. Here it costs that connection, as bytes that are no RESP do; wire.ts
 * opens another after a pause.
 */
import * as handlerModule from 'ioredis/built/DataHandler.js'

interface Handler {
  dispatch(run: () => void): void
  returnFatalError(error: unknown): void
}
interface HandlerClass {
  readonly prototype: Handler
}

/** Node gives a CommonJS module's exports as `default`, what transpiles to CommonJS gives the class. */
function handlerClass(): HandlerClass {
  const found = handlerModule.default as unknown as HandlerClass & { readonly default?: HandlerClass }
  return found.default ?? found
}

/** Done once, for all connections of ioredis in this process. */
export function guardReplies(): void {
  const { prototype } = handlerClass()
  if (typeof prototype.dispatch !== 'function' || typeof prototype.returnFatalError !== 'function')
    throw new Error('this version of ioredis takes replies in another way')
  prototype.dispatch = function (run): void {
    try {
      run()
    } catch (error) {
      this.returnFatalError(error instanceof Error ? error : new Error(String(error)))
    }
  }
}
