import CKernels
import MessagePassing

/// A host's part of sums over several hosts, bucket after bucket, in memory that its ranks share.
///
/// Each rank adds up its share of a bucket over all arenas of the host, into the arena of the first rank.
/// That one exchanges sums with other hosts and publishes what came of it, and the others copy it. A rank
/// waits in none of these calls: it asks whether the others have come so far.
final class HostBuckets: @unchecked Sendable {
  private let buckets: [Range<Int>]
  private let arenas: [UnsafeMutablePointer<Float>]
  private let rank: Int
  private let count: Int
  /// Sums that were begun, the one under way included.
  private var rounds: UInt64 = 0
  /// Buckets of this round to which this rank has added its share.
  private var added = 0

  // Gradients and buckets of all rounds. Rounds follow one another without a gap, so they only ever grow.
  private let finishedByRank: [HostCount]
  private let addedByRank: [HostCount]
  private let copiedByRank: [HostCount]
  /// Set by the first rank.
  private let published: HostCount
  private let memory: HostMemory

  /// - Parameters:
  ///   - group: the counts of its memory serve these sums alone.
  ///   - count: length of an arena.
  init(_ group: HostGroup, buckets: [Range<Int>], count: Int) {
    let memory = group.memory
    precondition(
      memory.parts.count < 1 << RFM_SUM_LEVELS, "\(memory.parts.count) ranks on one host")
    self.memory = memory
    self.buckets = buckets
    self.count = count
    rank = group.rank
    arenas = memory.parts.map { $0.assumingMemoryBound(to: Float.self) }
    finishedByRank = arenas.indices.map { memory.count(0, of: $0) }
    addedByRank = arenas.indices.map { memory.count(1, of: $0) }
    copiedByRank = arenas.indices.map { memory.count(2, of: $0) }
    published = memory.count(3, of: 0)
  }

  func begin() {
    rounds += 1
    added = 0
  }

  /// Lets others add up the gradients before `offset`.
  func markReady(upTo offset: Int) {
    finishedByRank[rank].store((rounds - 1) * UInt64(count) + UInt64(offset))
  }

  /// Adds this rank's share of the next bucket that all ranks of the host have finished.
  ///
  /// - Returns: false if there is none.
  func addNext() -> Bool {
    guard added < buckets.count else { return false }
    let bucket = buckets[added]
    let needed = (rounds - 1) * UInt64(count) + UInt64(bucket.upperBound)
    guard finishedByRank.allSatisfy({ $0.value >= needed }) else { return false }
    // Whole cache lines.
    let line = 16
    let part = ((bucket.count + arenas.count - 1) / arenas.count + line - 1) / line * line
    let start = min(bucket.upperBound, bucket.lowerBound + rank * part)
    let length = min(part, bucket.upperBound - start)
    _ = arenas.withUnsafeBufferPointer {
      rfm_gradients_share($0.baseAddress!, arenas.count, start, length, 1)
    }
    added += 1
    addedByRank[rank].store(number(added))
    return true
  }

  /// Whether the sum of the host is whole in the arena of its first rank.
  func isAdded(_ bucket: Int) -> Bool {
    addedByRank.allSatisfy { $0.value >= number(bucket + 1) }
  }

  /// Says that the arena of the first rank, this one, has the sum over all hosts.
  func publish(_ bucket: Int) {
    published.store(number(bucket + 1))
    copiedByRank[rank].store(number(bucket + 1))
  }

  func isPublished(_ bucket: Int) -> Bool { published.value >= number(bucket + 1) }

  /// Takes over what the first rank has published.
  func copy(_ bucket: Int) {
    let range = buckets[bucket]
    (arenas[rank] + range.lowerBound).update(
      from: arenas[0] + range.lowerBound, count: range.count)
    copiedByRank[rank].store(number(bucket + 1))
  }

  /// Whether nobody reads the arena of the first rank any more.
  func isCopied(_ bucket: Int) -> Bool {
    copiedByRank.allSatisfy { $0.value >= number(bucket + 1) }
  }

  /// A number of buckets of this round among those of all.
  private func number(_ ofThisRound: Int) -> UInt64 {
    (rounds - 1) * UInt64(buckets.count) + UInt64(ofThisRound)
  }
}
