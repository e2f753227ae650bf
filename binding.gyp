# node-gyp's way in, for tools that call it instead of the install script: does what that script does.
{
  'targets': [
    {
      'target_name': 'install',
      'type': 'none',
      'actions': [
        {
          'action_name': 'install',
          'inputs': [],
          'outputs': ['install-always-runs'],
          'action': ['node', 'scripts/install.mjs'],
        },
      ],
    },
  ],
}
