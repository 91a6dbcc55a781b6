"""What the services need of the outside: small Protocols, a module per noun; shared/adapters has them by technology."""
