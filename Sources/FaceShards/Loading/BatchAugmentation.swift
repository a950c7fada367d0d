import Dispatch
import Images
import Synchronization

/// Augments the images of a batch, several at a time.
struct BatchAugmentation: Sendable {
  let augmentations: Augmentations
  /// Of the run.
  let seed: UInt64
  /// Images that are worked on at once.
  let threads: Int

  /// What the draws of an image are keyed by.
  struct Key: Sendable {
    let visit: Int
    let sample: Int
  }

  /// Images after their changes, each by its own draws, on whichever thread.
  ///
  /// - Parameters:
  ///   - images: whole.
  ///   - keys: one for each.
  ///   - isStopped: when this is so, images are left as they are.
  /// - Throws: the first image's error.
  func applied(
    to images: [AugmentedImage], keys: [Key], isStopped: @Sendable () -> Bool
  ) throws -> [AugmentedImage] {
    let workers = min(threads, images.count)
    let changed = Mutex([Result<AugmentedImage, any Error>?](repeating: nil, count: images.count))
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      for i in stride(from: worker, to: images.count, by: workers) where !isStopped() {
        let result = Result {
          var image = images[i]
          try augmentations.apply(
            to: &image, seed: seed, visit: keys[i].visit, sample: keys[i].sample)
          return image
        }
        changed.withLock { $0[i] = result }
      }
    }
    let results = changed.withLock { $0 }
    return try zip(images, results).map { try $1?.get() ?? $0 }
  }
}
