import Foundations

/// The outcome of work that every rank does for itself, agreed on by all.
///
/// Between two agreements nobody waits for anybody, so that a rank which fails is heard: all throw
/// at the same place, and a caller may go on without what has failed.
package enum SharedOutcome {
  /// Another rank's error, with its status.
  struct RankFailure: ReportableError {
    let rank: Int
    let text: String
    let exitStatus: ExitStatus

    var description: String { "\(text) (on rank \(rank))" }
  }

  /// Does this rank's work, and throws on every rank if it failed on any: the error itself where it
  /// happened, ``RankFailure`` elsewhere. Collective; `work` must not be.
  package static func agreed<T>(_ communicator: Communicator, _ work: () throws -> T) throws -> T {
    let result = Result { try work() }
    var message = ""
    if case .failure(let error) = result {
      message = "\(ExitStatus(ending: error).rawValue) \(error)"
    }
    let all = try communicator.allGather(message)
    if case .failure(let error) = result { throw error }
    if let rank = all.firstIndex(where: { !$0.isEmpty }) {
      let parts = all[rank].split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
      throw RankFailure(
        rank: rank, text: String(parts.last!),
        exitStatus: Int32(parts[0]).flatMap(ExitStatus.init(rawValue:)) ?? .internalError)
    }
    return try result.get()
  }
}
