import { askTotals, enough, lookAtKeys, Meter } from '../../../src/quota/meter.ts'

/** A question to the primary and its answer. */
function tell(meter: Meter, total: number | undefined, share = 1, server = 'a'): void {
  meter.told(total, server, meter.asked(), share)
}

/** What was written is covered by the second question after it. */
function tellTwice(meter: Meter, total: number): void {
  tell(meter, total)
  tell(meter, total)
}

function measuredAt(value: number, limit = 1000, total = 10_000): Meter {
  const meter = new Meter(limit)
  tell(meter, total)
  meter.measured(value, 0, meter.mark(), true, false)
  return meter
}

describe('what a tenant writes', () => {
  test('counts at once, and fills it only when the primary has grown by it', () => {
    const meter = measuredAt(500)
    meter.wrote(499)
    expect([meter.suspicion, meter.isFull]).toEqual([enough, false])
    meter.wrote(2)
    expect([meter.suspicion, meter.isFull]).toEqual([askTotals, false])
    tellTwice(meter, 10_501)
    expect([meter.suspicion, meter.isFull, meter.now]).toEqual([lookAtKeys, false, 1001])
    meter.measured(1001, 0, meter.mark(), true, false)
    expect(meter.isFull).toBe(true)
  })

  test('fills nothing where the primary has not grown: those keys were there', () => {
    const meter = measuredAt(900)
    for (let i = 0; i < 50; i++) {
      meter.wrote(90)
      tellTwice(meter, 10_000)
      expect(meter.isFull).toBe(false)
    }
    // It may have grown behind what others have lost: that is looked for, once.
    expect(meter.suspicion).toBe(lookAtKeys)
    meter.measured(900, 0, meter.mark(), true, false)
    for (let i = 0; i < 50; i++) {
      meter.wrote(20)
      tellTwice(meter, 10_000)
      expect([meter.isFull, meter.suspicion]).toEqual([false, enough])
    }
  })

  test('is not taken for covered by an answer that may have overtaken it', () => {
    const meter = measuredAt(500)
    const covered = meter.asked()
    meter.wrote(600)
    meter.told(10_000, 'a', covered, 1)
    expect(meter.suspicion).toBe(askTotals)
    tell(meter, 10_000)
    expect(meter.suspicion).toBe(askTotals)
  })

  test('counts whole where the primary does not say what it has', () => {
    const meter = measuredAt(500)
    meter.wrote(600)
    tell(meter, undefined)
    tell(meter, undefined)
    expect(meter.suspicion).toBe(lookAtKeys)
    meter.presume()
    expect(meter.isFull).toBe(true)
  })

  test('is no more than its share of the growth', () => {
    const meter = measuredAt(500)
    meter.wrote(600)
    tell(meter, 10_600, 0.5)
    tell(meter, 10_600, 0.5)
    expect([meter.grown, meter.hidden, meter.isFull, meter.suspicion]).toEqual([300, 300, false, lookAtKeys])
  })
})

describe('what hides behind the losses of others', () => {
  test('is looked for before the limit is passed', () => {
    const meter = measuredAt(500)
    meter.wrote(600)
    tellTwice(meter, 9_000)
    expect([meter.grown, meter.suspicion]).toEqual([0, lookAtKeys])
    meter.measured(1100, 0, meter.mark(), true, true)
    expect(meter.isFull).toBe(true)
  })

  test('is taken to be there when nobody can look', () => {
    const meter = measuredAt(500)
    meter.wrote(600)
    tellTwice(meter, 9_000)
    meter.presume()
    expect(meter.isFull).toBe(true)
  })
})

describe('a look at its keys', () => {
  test('frees what was full when keys were deleted, and each freed byte does not', () => {
    const meter = measuredAt(1000)
    expect(meter.isFull).toBe(true)
    meter.measured(998, 0, meter.mark(), true, true)
    expect(meter.isFull).toBe(true)
    meter.measured(900, 0, meter.mark(), true, true)
    expect(meter.isFull).toBe(false)
  })

  test('that took time saw half of what was written meanwhile; the other half may be there too', () => {
    const meter = measuredAt(100)
    const mark = meter.mark()
    meter.wrote(200)
    tellTwice(meter, 10_200)
    meter.measured(200, 0, mark, true, false)
    expect([meter.value, meter.written, meter.grown, meter.hidden]).toEqual([200, 100, 100, 100])
  })

  test('that took time leaves in doubt what the primary could not tell', () => {
    const meter = measuredAt(100)
    const mark = meter.mark()
    meter.wrote(200)
    tellTwice(meter, 9_000)
    expect([meter.grown, meter.hidden]).toEqual([0, 200])
    meter.measured(200, 0, mark, true, true)
    expect([meter.value, meter.hidden, meter.suspicion]).toEqual([200, 100, enough])
  })

  test('by a sample is weighed with what is known, and stands alone where keys are gone', () => {
    const meter = measuredAt(900)
    meter.wrote(300)
    tellTwice(meter, 10_000)
    expect(meter.hidden).toBe(300)
    meter.measured(1000, 300, meter.mark(), false, false)
    expect([meter.value, Math.round(meter.error)]).toEqual([950, 212])
    meter.measured(500, 50, meter.mark(), false, true)
    expect([meter.value, meter.error]).toEqual([500, 50])
    const exact = measuredAt(900)
    exact.measured(1000, 300, exact.mark(), false, false)
    expect(exact.value).toBe(900)
  })
})

test('after a failover the new primary begins where the old one ended, whatever it takes for the same keys', () => {
  const meter = measuredAt(500)
  meter.wrote(100)
  tellTwice(meter, 10_100)
  expect(meter.grown).toBe(100)
  tell(meter, 30_000, 1, 'b')
  expect(meter.grown).toBe(100)
  meter.wrote(50)
  tell(meter, 30_050, 1, 'b')
  tell(meter, 30_050, 1, 'b')
  expect(meter.grown).toBe(150)
})

test('a limit that is raised or lowered counts at once', () => {
  const meter = measuredAt(900)
  meter.limit = 800
  meter.decide()
  expect(meter.isFull).toBe(true)
  meter.limit = 1000
  meter.decide()
  expect(meter.isFull).toBe(false)
})
