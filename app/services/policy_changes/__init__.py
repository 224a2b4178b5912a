"""Another policy: its versions, previews of who would change stage, activations."""
