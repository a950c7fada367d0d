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
  public struct Item<Prepared: Sendable>: Sendable {
    /// Place among all files of all ranks.
    public let index: Int
    /// As given, or below the folder as given, printable; `-` for an image on standard input.
    public let path: String
    /// What was decoded and prepared, or why not.
    public let image: Result<Prepared, ImageError>
    /// Whether it is a video, which is not decoded here.
    public let isVideo: Bool
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
    prepare: @escaping @Sendable (RGBImage) throws -> RGBImage = { $0 },
    _ body: ([Item<RGBImage>]) throws -> Void
  ) throws {
    precondition(batch > 0, "a batch is at least 1")
    let batches = rounds(batch: batch) { _ in 1 }.filter { !$0.isEmpty }
    try forEach(
      batches, threads: threads, limits: limits, leavingVideos: false, prepare: prepare, body)
  }

  /// The files of this rank, cut into rounds that are as many on every rank. In each a rank has files that
  /// weigh about `batch` together, and every file of a round comes before those of the next.
  ///
  /// - Parameter weight: of a file; the same on all ranks.
  public func rounds(batch: Int, weight: (BytePath) -> Int) -> [[Int]] {
    var rounds: [[Int]] = []
    var sum = batch
    for row in stride(from: 0, to: paths.count, by: rankCount) {
      let files = row..<min(row + rankCount, paths.count)
      let heaviest = files.map { weight(paths[$0]) }.max() ?? 1
      if sum + heaviest > batch {
        rounds.append([])
        sum = 0
      }
      sum += heaviest
      if row + rank < files.upperBound { rounds[rounds.count - 1].append(row + rank) }
    }
    return rounds
  }

  /// Calls `body` with the files of every round, while those of the next are being decoded.
  ///
  /// - Parameters:
  ///   - rounds: places of files, ascending; a round may be empty.
  ///   - leavingVideos: videos are told by ``Item/isVideo`` instead of an error.
  public func forEach<Prepared: Sendable>(
    _ rounds: [[Int]], threads: Int, limits: DecodingLimits = DecodingLimits(),
    leavingVideos: Bool, prepare: @escaping @Sendable (RGBImage) throws -> Prepared,
    _ body: ([Item<Prepared>]) throws -> Void
  ) throws {
    precondition(threads > 0, "the threads are at least 1")
    let queue = DispatchQueue(label: "rfm.images", attributes: .concurrent)
    func start(_ round: [Int]) -> PendingBatch<Prepared> {
      PendingBatch(round, on: queue, threads: threads) { index in
        let path = paths[index]
        let isVideo = leavingVideos && isVideo(path)
        return Item(
          index: index, path: path.description,
          image: Result {
            guard !isVideo else {
              throw ImageError(name: path.description, reason: .notAnImage, detail: "a video")
            }
            return try prepare(decode(path, limits: limits))
          }.mapError { error in
            error as? ImageError
              ?? ImageError(
                name: path.description, reason: .inputOutput, detail: String(describing: error))
          },
          isVideo: isVideo)
      }
    }
    var next = rounds.first.map(start)
    for position in rounds.indices {
      let ready = next!.wait()
      next = position + 1 < rounds.count ? start(rounds[position + 1]) : nil
      do {
        try body(ready)
      } catch {
        _ = next?.wait()
        throw error
      }
    }
  }

  /// Whether a file is likely a video, by its name alone.
  public static func isVideo(byName path: BytePath) -> Bool {
    FolderEntryKind(name: path.components.last ?? []) == .video
  }

  /// Whether a file is a video, by its first bytes, or by its name where they say nothing.
  private func isVideo(_ path: BytePath) -> Bool {
    guard path.bytes != [UInt8(ascii: "-")] else { return false }
    var bytes = [UInt8](repeating: 0, count: 1024)
    // Without blocking, should something have put a pipe in its place.
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    let count = max(0, bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress!, $0.count) })
    return bytes[..<count].withUnsafeBytes { start in
      switch ImageFormat(of: start) {
      case .other(let kind?): kind.isVideo
      case .other(nil): Self.isVideo(byName: path)
      default: false
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
private final class PendingBatch<Prepared: Sendable>: @unchecked Sendable {
  private let group = DispatchGroup()
  /// Every worker writes to places of its own, and readers wait for the group.
  private var items: [ImageStream.Item<Prepared>?]

  init(
    _ indices: [Int], on queue: DispatchQueue, threads: Int,
    decode: @escaping @Sendable (Int) -> ImageStream.Item<Prepared>
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

  func wait() -> [ImageStream.Item<Prepared>] {
    group.wait()
    return items.map { $0! }
  }
}
