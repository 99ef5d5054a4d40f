import { ControlError, controlHelp, parseControl, parseDurationMs, parseLatency } from '../../../src/demo/controls.ts'

const regions = ['eu-west', 'us-east', 'ap-south']
const parse = (line: string) => parseControl(line, regions, 'eu-west')

test.each([
  ['latency eu-west:ap-south=900ms', { verb: 'latency', one: 'eu-west', other: 'ap-south', rttMs: 900 }],
  ['latency us-east:primary=1.5s', { verb: 'latency', one: 'us-east', other: 'eu-west', rttMs: 1500 }],
  ['lag ap-south=2s', { verb: 'lag', region: 'ap-south', lagMs: 2000 }],
  ['lag ap-south = 2s', { verb: 'lag', region: 'ap-south', lagMs: 2000 }],
  ['partition us-east on', { verb: 'partition', region: 'us-east', on: true }],
  ['  partition   us-east  off ', { verb: 'partition', region: 'us-east', on: false }],
  ['kill primary', { verb: 'kill', region: 'eu-west' }],
  ['kill ap-south', { verb: 'kill', region: 'ap-south' }],
  ['restart primary', { verb: 'restart', region: 'eu-west' }],
  ['load 0', { verb: 'load', opsPerSecond: 0 }],
  ['help', { verb: 'help' }],
  ['quit', { verb: 'quit' }],
  ['exit', { verb: 'quit' }],
])('%s is understood', (line, control) => {
  expect(parse(line)).toEqual(control)
})

test('an empty line is nothing', () => {
  expect(parse('   ')).toBeUndefined()
})

test.each([
  ['latency eu-west:mars=1s', 'mars'],
  ['latency eu-west=1s', 'REGION:REGION'],
  ['latency eu-west:eu-west=1s', 'REGION:REGION'],
  ['latency', 'nothing'],
  ['latency eu-west:us-east=80', '80'],
  ['lag ap-south=-2s', '-2s'],
  ['lag eu-west=2s', 'primary'],
  ['partition ap-south', 'on'],
  ['partition ap-south maybe', 'on'],
  ['kill', 'nothing'],
  ['kill -9', '-9'],
  ['load many', 'OPS'],
  ['load', 'OPS'],
  ['load -1', 'OPS'],
  ['flood', 'flood'],
])('%s is refused with a word about it', (line, word) => {
  expect(() => parse(line)).toThrow(ControlError)
  expect(() => parse(line)).toThrow(word)
})

test('every line of the help is understood, each of its choices too', () => {
  for (const row of controlHelp.split('\n')) {
    const example = row.split(/ {2,}/)[0] ?? ''
    for (const line of example.includes('|') ? choices(example) : [example]) expect(parse(line)).toBeDefined()
  }
})

function choices(example: string): string[] {
  const words = example.split(' ')
  const last = words.pop() ?? ''
  return last.split('|').map((choice) => [...words, choice === 'REGION' ? 'us-east' : choice].join(' '))
}

test('durations carry a unit', () => {
  expect(['250ms', '2s', '1.5m', '1h'].map(parseDurationMs)).toEqual([250, 2000, 90_000, 3_600_000])
  for (const text of ['', '2', 's', '2 s', '-1s', '1d']) expect(() => parseDurationMs(text)).toThrow(ControlError)
})

test('a latency without regions it knows is still a pair', () => {
  expect(parseLatency('a:b=1ms')).toEqual({ one: 'a', other: 'b', rttMs: 1 })
})
