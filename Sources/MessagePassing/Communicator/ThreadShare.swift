import Foundations

/// How many worker threads a rank gets when nobody says.
public enum ThreadShare {
  /// What may be asked for.
  public static let range = 1...4096
  /// The same in words.
  public static let limits = "\(range.lowerBound) to \(range.upperBound)"

  /// This rank's share of the processors of its host: of those that it may run on, and of the quotas
  /// of its control groups, an equal part of what it shares with other ranks. Collective: called on
  /// every rank, whether it needs the number or not.
  ///
  /// - Throws: `MPIError`.
  public static func perRank(_ communicator: Communicator) throws -> ProcessorLimits.Share {
    let mine = ProcessorLimits.current
    let all = try communicator.allGather("\(mine.encoded)\n\(communicator.hostName)")
    var host: [ProcessorLimits] = []
    var place = 0
    for (rank, line) in all.enumerated() {
      let parts = line.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.last! == communicator.hostName else { continue }
      if rank == communicator.rank { place = host.count }
      host.append(
        rank == communicator.rank ? mine : ProcessorLimits(encoded: String(parts[0])))
    }
    return ProcessorLimits.share(of: place, among: host)
  }

  /// What was asked for, or else this rank's share. Collective, as ``perRank(_:)``.
  public static func threads(_ wanted: Int?, _ communicator: Communicator) throws -> Int {
    let share = try perRank(communicator)
    return wanted ?? share.threads
  }
}
