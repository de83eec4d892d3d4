{
  "targets": [
    {
      "target_name": "jorch",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["<(module_root_dir)/build/Release/jorch.node"],
          "action": ["node", "<(module_root_dir)/scripts/bootstrap.mjs", "--native"]
        }
      ]
    }
  ]
}
