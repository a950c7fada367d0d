import Foundations

/// Ranks that can tell one another something: a ``Communicator``.
public protocol RankGroup {
  var rank: Int { get }
  var size: Int { get }
  /// Rank 0's bytes on every rank. Collective.
  func broadcast(_ bytes: [UInt8]) throws -> [UInt8]
  /// Every rank's bytes, in rank order, on every rank. Collective.
  func allGatherUnequal(_ bytes: [UInt8]) throws -> [[UInt8]]
  /// Returns when all have come here, and leaves those who work the cores meanwhile. Collective.
  func patientBarrier() throws
}

extension Communicator: RankGroup {
  public func broadcast(_ bytes: [UInt8]) throws -> [UInt8] { try broadcast(bytes, from: 0) }
}

/// A job of one process.
public struct SingleRank: RankGroup {
  public let rank = 0
  public let size = 1
  public init() {}
  public func broadcast(_ bytes: [UInt8]) -> [UInt8] { bytes }
  public func allGatherUnequal(_ bytes: [UInt8]) -> [[UInt8]] { [bytes] }
}

/// What another rank has failed with, as all ranks learn of it.
public struct RankFailure: ReportableError {
  public let rank: Int
  public let text: String
  public let exitStatus: ExitStatus

  public var description: String { "\(text) (on rank \(rank))" }
}

/// The one way in which ranks agree that work has failed: between two agreements nobody waits for
/// anybody, so whoever fails is heard; all throw at the same place, can tidy up there, and a caller may
/// go on without what has failed.
extension RankGroup {
  /// Nothing, where it makes no difference.
  public func patientBarrier() {}

  /// Does this rank's part of some work, and throws on every rank if it failed on any: the error itself
  /// where it happened, ``RankFailure`` with the first of them elsewhere. Collective; `work` must not
  /// be.
  public func agreed<Value>(_ work: () throws -> Value) throws -> Value {
    let result = Result { try work() }
    var message: [UInt8] = []
    if case .failure(let error) = result {
      message = Array("\(ExitStatus(ending: error).rawValue) \(error)".utf8)
    }
    try patientBarrier()
    let all = try allGatherUnequal(message)
    if let rank = all.firstIndex(where: { !$0.isEmpty }), case .success = result {
      let parts = String(decoding: all[rank], as: UTF8.self)
        .split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
      throw RankFailure(
        rank: rank, text: String(parts.last!),
        exitStatus: Int32(parts[0]).flatMap(ExitStatus.init(rawValue:)) ?? .internalError)
    }
    return try result.get()
  }

  /// Does work on rank 0 alone and gives its bytes to all; if it fails, all throw, as in
  /// ``agreed(_:)``. Collective; `work` must not be.
  public func fromRoot(_ work: () throws -> [UInt8]) throws -> [UInt8] {
    try broadcast(agreed { rank == 0 ? try work() : [] })
  }
}
