export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  transform: { '\\.ts$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript' } } }] },
  setupFiles: ['<rootDir>/test/kit/seed.ts'],
  // The bound of a hang, not a judgement of speed.
  testTimeout: 120_000,
  // Two cores: integration tests start real servers, so one test file a core.
  maxWorkers: 2,
}
