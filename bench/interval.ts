/** How well a median is known: drawn again from its own values. Pure. */
import { quantile } from './report.ts'

const resamples = 2_000

/** Of the median, 95 %, by bootstrap: the values drawn again, with a generator that always begins alike. */
export function medianInterval(values: readonly number[]): [number, number] {
  let state = 1
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 4_294_967_296
  }
  const medians = Array.from({ length: resamples }, () =>
    quantile(
      Array.from({ length: values.length }, () => values[Math.floor(random() * values.length)]!),
      0.5,
    ),
  )
  return [quantile(medians, 0.025), quantile(medians, 0.975)]
}
