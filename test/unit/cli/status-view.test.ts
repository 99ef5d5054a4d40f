import { figuresOf, renderFigures, type StatusAnswer } from '../../../src/cli/status-view.ts'

const status: StatusAnswer = {
  version: '1.0.0',
  region: 'eu',
  uptime_seconds: 60,
  clients: 0,
  primary: null,
  split: false,
  epoch: 3,
  draining: false,
}
const shown = (more: Partial<StatusAnswer>): string =>
  renderFigures(figuresOf({ atMs: 0, status: { ...status, ...more }, regions: [], page: '' })).split('\n')[1]!

test('status says why there is no primary, where the Sentinels know', () => {
  const trouble = '1 of 3 Sentinels answer, 2 are needed'
  expect(shown({ discovery: { trouble } })).toBe(`primary: none (${trouble}), epoch 3`)
  expect(shown({})).toBe('primary: none, epoch 3')
  expect(shown({ discovery: { trouble: '' }, primary: 'eu' })).toBe('primary: eu, epoch 3')
})
