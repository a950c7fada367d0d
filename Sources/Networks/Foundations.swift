// Durable files and printable names were part of this room: who imports it goes on finding them.
@_exported import Foundations
