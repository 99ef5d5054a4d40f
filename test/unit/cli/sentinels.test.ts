import { judgeSentinels, renderSentinels, type SentinelReport } from '../../../src/cli/sentinels.ts'
import type { Config } from '../../../src/config/config.ts'

const node = (name: string) => ({ name, host: name, port: 1, tls: false })
const config = {
  discovery: { sentinels: ['s1', 's2', 's3'].map(node), master: 'main' },
  regions: [{ name: 'eu', nodes: [node('eu-1:6379')] }],
} as unknown as Config
const says = (name: string, address: string, others = 2): SentinelReport => ({
  name,
  says: address,
  configEpoch: 4,
  others,
})

test('Sentinels that agree on a node of the file are nothing to warn of', () => {
  expect(
    judgeSentinels(
      ['s1', 's2', 's3'].map((name) => says(name, 'eu-1:6379')),
      config,
    ),
  ).toEqual([])
})

test('too few that agree, an address that is no node, and one that is away are told', () => {
  const reports = [says('s1', '192.0.2.1:6379'), says('s2', 'eu-1:6379'), { name: 's3', problem: 'refused' }]
  expect(judgeSentinels(reports, config)).toEqual([
    'Sentinel s3: refused',
    '1 of 3 Sentinels name the same primary and 2 must: writes will be refused, unless those that the file does not list make up for it',
    "the Sentinels name 192.0.2.1:6379, which is no node's address in this file: it must resolve to one of them, or writes will be refused",
  ])
  expect(renderSentinels(reports)).toBe(
    [
      'Sentinel s1: the primary is 192.0.2.1:6379 (configuration epoch 4, knows 2 other Sentinels)',
      'Sentinel s2: the primary is eu-1:6379 (configuration epoch 4, knows 2 other Sentinels)',
      'Sentinel s3: unreachable: refused',
      '',
    ].join('\n'),
  )
})

test('one Sentinel alone is told to be too few', () => {
  expect(
    judgeSentinels([says('s1', 'eu-1:6379', 0)], {
      ...config,
      discovery: { ...config.discovery!, sentinels: [node('s1')] },
    }),
  ).toEqual(['one Sentinel: with fewer than three none may be lost'])
})
