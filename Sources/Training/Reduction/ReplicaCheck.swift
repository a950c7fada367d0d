import Foundations
import MessagePassing
import Networks

/// Replicas that should be the same and are not.
public struct ReplicaDriftError: ReportableError {
  public let step: Int
  public let ranks: [Int]

  public var description: String {
    "step \(step): the weights of rank \(ranks.map(String.init).joined(separator: ", ")) differ "
      + "from rank 0's; nothing was saved since the last checkpoint. Memory or a processor of that "
      + "host may be faulty"
  }

  public var exitStatus: ExitStatus { .internalError }
}

/// Compares the weights of all ranks by digest.
enum ReplicaCheck {
  /// Collective.
  static func compare(_ detector: Detector, _ communicator: Communicator, step: Int) throws {
    guard communicator.size > 1 else { return }
    let digests = try communicator.allGather([detector.contents.value])
    let others = digests.indices.filter { digests[$0] != digests[0] }
    if !others.isEmpty { throw ReplicaDriftError(step: step, ranks: others) }
  }
}
