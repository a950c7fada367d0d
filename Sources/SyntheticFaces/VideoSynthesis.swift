import Dispatch
import FaceShards
import Foundation
import Foundations
import Synchronization

/// Writes videos of moving faces, real and forged, frame by frame and without compression, for an encoder:
///
/// ```
/// OUTPUT/original/000.ppm               a stream of PPM pictures
/// OUTPUT/METHOD/000_001.ppm             the same video, forged; 001 is who lends a face
/// OUTPUT/METHOD/masks/000_001.pgm       a stream of PGM pictures, 255 where forged; real ones have them too
/// ```
///
/// Identities are in pairs that lend each other their faces, as in FaceForensics++, whose names these are. A
/// frame is a function of the seed, the video and its own number.
public struct VideoSynthesis: Sendable {
  public static let framesPerSecond = 25

  /// One video to make.
  public struct Video: Sendable, Equatable {
    public let identity: Int
    /// Nil for a real one.
    public let method: ForgeryMethod?

    /// Who lends a face.
    var partner: Int { identity ^ 1 }

    /// Its folder in the output folder.
    public var folder: String { method?.rawValue ?? "original" }

    /// Of its files, without their extensions.
    public var name: String {
      Self.digits(identity) + (method == nil ? "" : "_" + Self.digits(partner))
    }

    static func digits(_ number: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, 3 - digits.count)) + digits
    }
  }

  public let output: String
  public let videos: [Video]
  public let frames: Int
  public let synthesizer: FaceSynthesizer

  /// - Parameters:
  ///   - output: a folder, made if it isn't there.
  ///   - identities: an even number of people; each has one real video, and forged ones by `methods` of all
  ///     methods, in turn.
  public init(
    output: String, identities: Int, methods: Int, frames: Int, synthesizer: FaceSynthesizer
  ) {
    let all = ForgeryMethod.allCases
    precondition(
      identities > 0 && identities % 2 == 0 && (1...all.count).contains(methods) && frames > 0,
      "VideoSynthesis: expected pairs of people, methods that there are, and frames")
    self.output = output
    self.frames = frames
    self.synthesizer = synthesizer
    videos = (0..<identities).flatMap { identity in
      [Video(identity: identity, method: nil)]
        + (0..<methods).map {
          Video(identity: identity, method: all[(identity / 2 * methods + $0) % all.count])
        }
    }
  }

  /// Frame `frame` of a video; its mask is all 0 in a real one.
  public func picture(_ frame: Int, of video: Video) -> SyntheticPicture {
    let seed = synthesizer.seed
    let time = Float(frame) / Float(Self.framesPerSecond)
    let scene = FaceMotion(seed: seed, video: video.identity)
      .moved(synthesizer.scene(video.identity), to: time)
    let stages = synthesizer.stages(
      FaceModel(seed: seed, identity: video.identity), scene,
      synthesizer.camera(video.identity).noise(ofFrame: frame), number: video.identity,
      method: video.method, donor: FaceModel(seed: seed, identity: video.partner))
    let size = synthesizer.size
    return SyntheticPicture(
      image: (stages.forgery?.image ?? stages.captured).bytes(),
      mask: stages.forgery?.weights.map { $0 > 0 ? UInt8(255) : 0 }
        ?? [UInt8](repeating: 0, count: size * size))
  }

  /// Refuses a folder that holds anything. To be called by one process before any writes.
  public func prepare() throws {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: output)) ?? []
    guard names.isEmpty else {
      throw ShardError(
        file: output, reason: "it is not empty; choose another --output, or give --overwrite",
        isInputOutput: true)
    }
  }

  /// Writes the videos of one part of several.
  ///
  /// - Parameter progress: told how many of this part's frames are done.
  /// - Throws: `FileError`.
  public func write(
    part: Int, of parts: Int, threads: Int, progress: (_ done: Int, _ total: Int) -> Void
  ) throws {
    let mine = videos.indices.filter { $0 % parts == part }.map { videos[$0] }
    let total = mine.count * frames
    var done = 0
    for video in mine {
      let folder = "\(output)/\(video.folder)"
      try DurableFile.makeFolder("\(folder)/masks")
      try DurableFile.write(through: "\(folder)/\(video.name).ppm") { beside in
        let pictures = try FrameStream(beside, kind: 6, side: synthesizer.size)
        try DurableFile.write(through: "\(folder)/masks/\(video.name).pgm") { beside in
          let masks = try FrameStream(beside, kind: 5, side: synthesizer.size)
          for first in stride(from: 0, to: frames, by: 2 * threads) {
            let batch = draw(first..<min(first + 2 * threads, frames), of: video, threads: threads)
            for picture in batch {
              try pictures.append(picture.image)
              try masks.append(picture.mask)
            }
            done += batch.count
            progress(done, total)
          }
        }
      }
    }
  }

  /// PNM pictures one after another.
  private final class FrameStream {
    private let file: FileWriter
    private let header: [UInt8]

    init(_ path: String, kind: Int, side: Int) throws {
      file = try FileWriter(creating: path)
      header = Array("P\(kind) \(side) \(side) 255\n".utf8)
    }

    func append(_ pixels: [UInt8]) throws {
      for bytes in [header, pixels] { try bytes.withUnsafeBytes { try file.write($0) } }
    }
  }

  /// Frames in order, drawn on several threads.
  private func draw(_ range: Range<Int>, of video: Video, threads: Int) -> [SyntheticPicture] {
    let results = Mutex<[SyntheticPicture?]>(Array(repeating: nil, count: range.count))
    DispatchQueue.concurrentPerform(iterations: range.count) { index in
      let picture = picture(range.lowerBound + index, of: video)
      results.withLock { $0[index] = picture }
    }
    return results.withLock { $0.map { $0! } }
  }
}
