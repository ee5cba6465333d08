"""params.yaml to typed, frozen values, read once a stage; the only package that reads YAML. It never imports torch."""
