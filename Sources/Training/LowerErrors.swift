import FaceShards
import HierarchicalData
import MessagePassing
import Networks

// How errors of the rooms below end the command.

extension FileError: ReportableError {
  public var exitStatus: ExitStatus { .inputOutput }
}

extension SafetensorsError: ReportableError {
  public var exitStatus: ExitStatus { .badData }
}

extension PyTorchFileError: ReportableError {
  public var exitStatus: ExitStatus { .badData }
}

extension WeightsError: ReportableError {
  public var exitStatus: ExitStatus { isInputOutput ? .inputOutput : .badData }
}

extension HDF5Error: ReportableError {
  public var exitStatus: ExitStatus { isInputOutput ? .inputOutput : .badData }
}

extension ShardError: ReportableError {
  public var exitStatus: ExitStatus { isInputOutput ? .inputOutput : .badData }
}

extension MissingClassError: ReportableError {
  public var exitStatus: ExitStatus { .badData }
}

extension ImageError: ReportableError {
  public var exitStatus: ExitStatus { reason == .inputOutput ? .inputOutput : .badData }
}

extension PackError: ReportableError {
  public var exitStatus: ExitStatus {
    switch self {
    case .usage: .usage
    case .badData: .badData
    case .inputOutput: .inputOutput
    case .cancelled: .stopped
    }
  }
}

extension NotJoinedError: ReportableError {
  public var exitStatus: ExitStatus { .usage }
}

extension MPIError: ReportableError {
  public var exitStatus: ExitStatus { .inputOutput }
}
