import CKernels
import Glibc
import Synchronization

/// A worker's loop over the images of its group, of which workers without a group take some.
///
/// Loops follow one another. An image is taken by raising one number that names the loop and its length
/// too, so whoever comes too late for a loop takes nothing of the next one by mistake.
final class SharedLoop<Work>: @unchecked Sendable {
  /// The loop's number, its length and the next image: 32, 16 and 16 bits.
  private let ticket = Atomic<UInt64>(0)
  private let finished = Atomic<Int>(0)
  // Written by the owner before the ticket, and not again before every image taken is finished.
  private nonisolated(unsafe) var work: Work
  private nonisolated(unsafe) var loops: UInt64 = 0

  init(_ work: Work) { self.work = work }

  /// Does `work` for the images 0..<count, with whoever comes to help. For the owner.
  ///
  /// - Parameter perform: does it for one image.
  func run(_ count: Int, _ work: Work, _ perform: (Work, Int) -> Void) {
    precondition(count < 1 << 16, "a group has fewer images than \(count)")
    self.work = work
    finished.store(0, ordering: .relaxed)
    loops = (loops + 1) & 0xffff_ffff
    ticket.store(loops << 32 | UInt64(count) << 16, ordering: .releasing)
    while help(perform) {}
    var looks = 0
    while finished.load(ordering: .acquiring) < count {
      looks += 1
      if looks < 20_000 { rfm_pause() } else { usleep(50) }
    }
  }

  /// Takes an image of the loop under way and does what is to be done for it.
  ///
  /// - Returns: false if there was none to take.
  func help(_ perform: (Work, Int) -> Void) -> Bool {
    var seen = ticket.load(ordering: .acquiring)
    while seen & 0xffff < seen >> 16 & 0xffff {
      let (exchanged, original) = ticket.weakCompareExchange(
        expected: seen, desired: seen + 1, ordering: .acquiringAndReleasing)
      if exchanged {
        perform(work, Int(seen & 0xffff))
        finished.wrappingAdd(1, ordering: .releasing)
        return true
      }
      seen = original
    }
    return false
  }
}
