# node-gyp's way in, for tools that call it in a clone: builds as `npm install` does there.
{
  'targets': [
    {
      'target_name': 'prepare',
      'type': 'none',
      'actions': [
        {
          'action_name': 'prepare',
          'inputs': [],
          'outputs': ['prepare-always-runs'],
          'action': ['node', 'scripts/prepare.mjs'],
        },
      ],
    },
  ],
}
