import { readReplication, readServer } from '../../../src/regions/info.ts'

const lines = (...list: string[]) => `# Replication\r\n${list.join('\r\n')}\r\n`

test('a primary with its history and offset', () => {
  expect(
    readReplication(
      lines(
        'role:master',
        'connected_slaves:1',
        'master_replid:aa',
        `master_replid2:${'0'.repeat(40)}`,
        'master_repl_offset:77',
      ),
    ),
  ).toEqual({ role: 'primary', replId: 'aa', replId2: '', offset: 77, follows: '', isLinkUp: true, isSyncing: false })
})

test('a replica counts what it has applied, not what it has read, and says whom it follows', () => {
  expect(
    readReplication(
      lines(
        'role:slave',
        'master_host:::1',
        'master_port:6379',
        'master_link_status:up',
        'master_sync_in_progress:0',
        'slave_read_repl_offset:90',
        'slave_repl_offset:80',
        'master_replid:bb',
        'master_replid2:aa',
        'master_repl_offset:85',
      ),
    ),
  ).toEqual({
    role: 'replica',
    replId: 'bb',
    replId2: 'aa',
    offset: 80,
    follows: '::1:6379',
    isLinkUp: true,
    isSyncing: false,
  })
})

test('a link that is down and a full copy under way are seen; a missing line is not believed to be good', () => {
  const down = readReplication(lines('role:slave', 'master_link_status:down', 'master_sync_in_progress:1'))
  expect(down.isLinkUp).toBe(false)
  expect(down.isSyncing).toBe(true)
  expect(readReplication(lines('role:slave')).isLinkUp).toBe(false)
  expect(readReplication('').role).toBe('unknown')
  expect(readReplication(lines('role:sentinel')).role).toBe('unknown')
})

test('run id and version', () => {
  expect(readServer('redis_version:7.0.15\r\nrun_id:cafe\r\n')).toEqual({ runId: 'cafe', version: '7.0.15' })
  expect(readServer('')).toEqual({ runId: '', version: '' })
})
