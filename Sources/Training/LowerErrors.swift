import Networks

// How errors of the rooms below end the command.

extension FileError: ReportableError {
  public var exitStatus: ExitStatus { .inputOutput }
}

extension SafetensorsError: ReportableError {
  public var exitStatus: ExitStatus { .badData }
}
