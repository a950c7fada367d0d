import Dispatch
import Images

/// Augments the images of a batch, several at a time.
struct BatchAugmentation: Sendable {
  let augmentations: Augmentations
  /// Of the run.
  let seed: UInt64
  /// Images that are worked on at once.
  let threads: Int

  /// Changes each image by its own draws, wherever it stands and on whichever thread.
  ///
  /// - Parameters:
  ///   - images: whole.
  ///   - places: which images of the batch they are.
  ///   - batch: says which samples are at its places.
  ///   - isStopped: when this is so, images are left as they are.
  /// - Throws: the first image's error.
  func apply(
    to images: inout [AugmentedImage], at places: [Int], of batch: Batch, isStopped: () -> Bool
  ) throws {
    let workers = min(threads, images.count)
    let failures = images.withUnsafeMutableBufferPointer { images in
      // Every worker has places of its own.
      withUnsafeTemporaryAllocation(of: (any Error)?.self, capacity: images.count) { failures in
        failures.initialize(repeating: nil)
        defer { failures.deinitialize() }
        DispatchQueue.concurrentPerform(iterations: workers) { worker in
          for i in stride(from: worker, to: images.count, by: workers) where !isStopped() {
            do {
              try augmentations.apply(
                to: &images[i], seed: seed, visit: batch.visits[places[i]],
                sample: batch.identifiers[places[i]])
            } catch {
              failures[i] = error
            }
          }
        }
        return failures.compactMap(\.self)
      }
    }
    if let failure = failures.first { throw failure }
  }
}
