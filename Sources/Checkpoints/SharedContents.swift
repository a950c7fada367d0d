import Foundations
import MessagePassing

/// What every rank reads for itself and all must read alike: where a host has another copy, its part of
/// the work would be that of something else, and nobody would see it.
public enum SharedContents {
  /// Compares digests of what the ranks have read. Collective.
  ///
  /// - Parameter what: the file and what it holds, for the message.
  /// - Throws: ``DifferentContentsError``, the same on all ranks; `MPIError`.
  public static func agree(
    on contents: ContentsDigest, _ what: String, communicator: Communicator
  ) throws {
    guard communicator.size > 1 else { return }
    let all = try communicator.allGather([contents.value])
    let others = all.indices.filter { all[$0] != all[0] }
    guard let first = others.first else { return }
    throw DifferentContentsError(
      what: what, ranks: others,
      host: try communicator.broadcast(communicator.hostName, from: first))
  }
}

/// Ranks have read different contents under the same name.
public struct DifferentContentsError: ReportableError {
  let what: String
  let ranks: [Int]
  /// Of the first of them.
  let host: String

  public var description: String {
    let whose = ranks.count == 1 ? "rank \(ranks[0])" : "ranks \(Watchdog.list(ranks))"
    return "\(what): \(whose) on \(host)\(ranks.count == 1 ? "" : " and others") read"
      + "\(ranks.count == 1 ? "s" : "") something else than rank 0; share the files, or copy them to "
      + "every host"
  }

  public var exitStatus: ExitStatus { .badData }
}
