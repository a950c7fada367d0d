import Foundation
import MessagePassing

/// How many worker threads a rank gets when nobody says.
public enum ThreadShare {
  /// What may be asked for.
  public static let range = 1...4096
  /// The same in words.
  public static let limits = "\(range.lowerBound) to \(range.upperBound)"

  /// This rank's share of the cores of its node: those that the launcher bound it to, or an equal
  /// part of all.
  public static func perRank(_ communicator: Communicator) -> Int {
    let allowed = ProcessInfo.processInfo.activeProcessorCount
    let all = ProcessInfo.processInfo.processorCount
    return max(1, allowed < all ? allowed : all / communicator.nodeSize)
  }
}
