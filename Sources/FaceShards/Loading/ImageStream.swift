import Dispatch
import Foundation
import Foundations
import Images

/// Images from files, folders and standard input, decoded ahead in parallel and handed out in order.
/// However many there are, only a few are in memory at once.
///
/// ```swift
/// let stream = try ImageStream(inputs: ["faces", "one.jpg"])
/// try stream.forEach(batch: 8) { items in
///   for item in items { print(item.path, try item.image.get().width) }
/// }
/// ```
public struct ImageStream: Sendable {
  public struct Item: Sendable {
    /// Place among all images of all ranks.
    public let index: Int
    /// As given, or below the folder as given, printable; `-` for an image on standard input.
    public let path: String
    /// What was decoded and prepared, or why not.
    public let image: Result<RGBImage, ImageError>
  }

  /// Every image of all ranks, in the order of the inputs, folders sorted by name.
  public let paths: [BytePath]
  /// What was passed over and why, one line each.
  public let notes: [String]
  /// Which of the images are this rank's: every `rankCount`-th.
  private let rank: Int
  private let rankCount: Int
  /// The image on standard input.
  private let standardImage: [UInt8]

  /// - Parameters:
  ///   - inputs: files, folders (with everything below them but hidden files) and `-`.
  ///   - standardInput: what `-` stands for: the bytes of standard input.
  ///   - rank: this rank; it gets every `rankCount`-th image.
  /// - Throws: `ImageError` if an input doesn't exist, ``PackError`` if a folder can't be listed.
  ///   What a file holds is seen later, and whether one of a list on standard input exists.
  public init(
    inputs: [String], standardInput: [UInt8] = [], rank: Int = 0, rankCount: Int = 1
  ) throws {
    precondition((0..<rankCount).contains(rank), "rank \(rank) is not below \(rankCount)")
    var paths: [BytePath] = []
    var notes: [String] = []
    var standardImage: [UInt8] = []
    func add(_ path: BytePath) throws {
      var status = stat()
      guard path.withCString({ stat($0, &status) }) == 0, status.st_mode & S_IFMT == S_IFDIR else {
        paths.append(path)
        return
      }
      let listing = try FolderListing(of: path)
      paths += listing.files.map { path.appending($0.bytes) }
      notes += listing.notes
    }
    for input in inputs {
      var status = stat()
      if input == "-" {
        switch StandardInput(standardInput) {
        case .image(let bytes):
          standardImage = bytes
          paths.append(BytePath(input))
        case .list(let listed):
          for path in listed { try add(path) }
        }
      } else if stat(input, &status) != 0 {
        throw ImageError(
          name: input, reason: .inputOutput,
          detail: "can't be opened: \(String(cString: strerror(errno)))")
      } else {
        try add(BytePath(input))
      }
    }
    self.paths = paths
    self.notes = notes
    self.standardImage = standardImage
    self.rank = rank
    self.rankCount = rankCount
  }

  /// How many images are this rank's.
  public var count: Int { (paths.count - rank + rankCount - 1) / rankCount }

  /// Calls `body` with this rank's images in order, `batch` at a time (the last time maybe fewer),
  /// while the next batch is being decoded.
  ///
  /// - Parameters:
  ///   - threads: images decoded at once.
  ///   - prepare: applied to each image where it is decoded; shrinking here keeps memory low.
  public func forEach(
    batch: Int, threads: Int = ProcessorLimits.current.threads,
    limits: DecodingLimits = DecodingLimits(),
    prepare: @escaping @Sendable (RGBImage) -> RGBImage = { $0 },
    _ body: ([Item]) throws -> Void
  ) throws {
    precondition(batch > 0 && threads > 0, "a batch and the threads are at least 1")
    let indices = Array(stride(from: rank, to: paths.count, by: rankCount))
    let batches = stride(from: 0, to: indices.count, by: batch).map {
      Array(indices[$0..<min($0 + batch, indices.count)])
    }
    let queue = DispatchQueue(label: "rfm.images", attributes: .concurrent)
    func start(_ batch: [Int]) -> PendingBatch {
      PendingBatch(batch, on: queue, threads: threads) { index in
        let path = paths[index]
        return Item(
          index: index, path: path.description,
          image: Result { try decode(path, limits: limits) }
            .map(prepare)
            .mapError { error in
              error as? ImageError
                ?? ImageError(
                  name: path.description, reason: .inputOutput, detail: String(describing: error))
            })
      }
    }
    var next = batches.first.map(start)
    for position in batches.indices {
      let ready = next!.wait()
      next = position + 1 < batches.count ? start(batches[position + 1]) : nil
      do {
        try body(ready)
      } catch {
        _ = next?.wait()
        throw error
      }
    }
  }

  private func decode(_ path: BytePath, limits: DecodingLimits) throws -> RGBImage {
    guard path.bytes == [UInt8(ascii: "-")] else {
      return try ImageDecoder.decode(path: path, limits: limits)
    }
    return try ImageDecoder.decode(bytes: standardImage, name: "-", limits: limits)
  }
}

/// A batch that is being decoded.
private final class PendingBatch: @unchecked Sendable {
  private let group = DispatchGroup()
  /// Every worker writes to places of its own, and readers wait for the group.
  private var items: [ImageStream.Item?]

  init(
    _ indices: [Int], on queue: DispatchQueue, threads: Int,
    decode: @escaping @Sendable (Int) -> ImageStream.Item
  ) {
    items = Array(repeating: nil, count: indices.count)
    let workers = min(threads, indices.count)
    let lock = NSLock()
    for worker in 0..<workers {
      queue.async(group: group) { [self] in
        for place in stride(from: worker, to: indices.count, by: workers) {
          let item = decode(indices[place])
          lock.withLock { items[place] = item }
        }
      }
    }
  }

  func wait() -> [ImageStream.Item] {
    group.wait()
    return items.map { $0! }
  }
}
