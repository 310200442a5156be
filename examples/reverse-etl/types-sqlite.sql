select json_object(
  'integer', 9007199254740993,
  'real', 0.1,
  'text', 'é"',
  'nothing', null,
  'date', '2026-01-02',
  'timestamp', strftime('%Y-%m-%dT%H:%M:%SZ', 1767319445, 'unixepoch'),
  'boolean', json(iif(1, 'true', 'false')),
  'blob_as_hex', hex(x'aa00'),
  'json', json('{"a": [1, null]}')
)
