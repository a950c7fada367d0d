import CFFmpeg
import Foundations
import Images

/// Reads frames of a video: any container and codec of FFmpeg that holds pictures in one file.
///
/// The page <doc:Videos> says what a frame is: how it is turned, coloured and counted.
public final class VideoReader {
  /// When frames between the chosen ones are skipped. A test compares both.
  enum Skipping {
    /// Where that spares at least half of the frames.
    case whereItPays
    case wherePossible
    case never
  }

  public let info: VideoInfo
  private let file: VideoFile
  private let containerDisplay: DisplayMatrix
  var skipping = Skipping.whereItPays

  /// Opens a video.
  /// - Parameters:
  ///   - threads: of the decoder. One is best where several videos are read at once.
  ///   - isCancelled: asked now and then, from the thread that reads; true ends the call at hand.
  /// - Throws: ``VideoError``.
  public init(
    path: BytePath, limits: VideoLimits = VideoLimits(), threads: Int = 1,
    isCancelled: @escaping () -> Bool = { false }
  ) throws {
    precondition(threads >= 1, "a decoder has a thread")
    file = try VideoFile(path: path, limits: limits, threads: threads, isCancelled: isCancelled)
    info = file.info
    containerDisplay = file.display
  }

  /// Calls `body` for every chosen frame, in order, and collects what it returns.
  ///
  /// The first pass over the file reads packets without decoding them and so learns how many frames
  /// there should be; the second decodes. If fewer (or more) decode than were promised, or not all of
  /// them whole, other frames are the chosen ones: then what was collected is dropped and a pass begins
  /// anew, with a frame whose `ordinal` is 0. Frames that are not chosen are not converted to RGB, and skipped undecoded
  /// where at least half of all frames are spared by that and it gives the same frames (<doc:Videos>).
  /// Memory is that of the decoder and one frame.
  /// - Throws: ``VideoError``, also if no frame decodes; what `body` throws.
  public func read<Result>(
    _ choice: FrameChoice, _ body: (VideoFrame) throws -> Result
  ) throws -> VideoReading<Result> {
    try file.rewind()
    let (packets, stop) = try file.index()
    let isCut = file.isCut
    let plan = FramePlan(packets)
    var pass: Pass<Result>?
    if isSkipping(plan, choice) {
      try file.rewind()
      pass = try skippingPass(plan, choice, body)
    }
    let isSkipping = pass != nil
    var refused = file.refusedPackets
    var isDamaged = isCut || !stop.isEmpty
    if pass == nil {
      try file.rewind()
      var damage = FrameDamage()
      let indices = choice.indices(of: plan.frameCount)
      pass = try wholePass(plan, FrameSelection(indices), &damage, body)
      refused = file.refusedPackets
      isDamaged = isDamaged || damage.isAny || refused.count > 0
      let sound = damage.soundFrames(of: pass!.frameCount)
      let chosen = choice.indices(of: sound.count)
      if !sound.isEmpty, damage.isAny || chosen != indices {
        try file.rewind()
        var known = FrameDamage()
        pass = try wholePass(plan, FrameSelection(chosen, among: sound), &known, body)
      }
      pass!.frameCount = sound.count
    }
    let read = pass!
    guard read.frameCount > 0 else {
      let reason = refused.last.isEmpty ? stop : refused.last
      throw VideoError(
        path: file.path, reason: .damaged,
        detail: "not one of its frames decodes\(reason.isEmpty ? "" : " (\(reason))");"
          + " it is damaged: fetch it anew")
    }
    // Packets that are never shown are no frames, but where something is missing each counts as one.
    var expected = read.frameCount
    if isDamaged { expected = max(expected, plan.frameCount) }
    if isCut || !stop.isEmpty { expected = max(expected, info.declaredFrames ?? 0) }
    return VideoReading(
      indices: read.indices, results: read.results, frameCount: read.frameCount,
      expectedCount: expected, isSkipping: isSkipping,
      notes: notes(
        read, expected: expected, isCut: isCut, stop: stop.isEmpty ? refused.last : stop))
  }

  // MARK: Passes

  /// What a pass over the frames gave.
  private struct Pass<Result> {
    var frameCount = 0
    var indices: [Int] = []
    var results: [Result] = []
    var sizes: Set<[Int]> = []
    var ranges: Set<VideoInfo.DynamicRange> = []
    var isTilted = false
  }

  private func isSkipping(_ plan: FramePlan, _ choice: FrameChoice) -> Bool {
    guard plan.times != nil, plan.frameCount > 0, skipping != .never else { return false }
    let cost = plan.cost(of: choice.indices(of: plan.frameCount))
    return cost <= (skipping == .wherePossible ? plan.frameCount - 1 : plan.frameCount / 2)
  }

  /// Decodes everything, and counts every frame, whole or not.
  private func wholePass<Result>(
    _ plan: FramePlan, _ selection: FrameSelection, _ damage: inout FrameDamage,
    _ body: (VideoFrame) throws -> Result
  ) throws -> Pass<Result> {
    var pass = Pass<Result>()
    var start: Int64?
    var refused = 0
    while let frame = try file.next() {
      guard pass.frameCount < file.limits.maximumFrames else {
        throw VideoError(
          path: file.path, reason: .tooLarge,
          detail: "more than the allowed \(file.limits.maximumFrames) frames; cut it first")
      }
      // Where packets have no times, what the decoder says are guesses.
      if start == nil, plan.isTimed { start = frame.time }
      let count = file.refusedPackets.count
      damage.add(frame, number: pass.frameCount, refused: count - refused)
      refused = count
      if let index = selection.index(of: pass.frameCount, next: pass.results.count) {
        try take(frame, index, start, &pass, body)
      }
      pass.frameCount += 1
    }
    damage.end(refused: file.refusedPackets.count - refused, number: pass.frameCount)
    return pass
  }

  /// Decodes from entries on; nil where a frame is not the one that the packets promise.
  private func skippingPass<Result>(
    _ plan: FramePlan, _ choice: FrameChoice, _ body: (VideoFrame) throws -> Result
  ) throws -> Pass<Result>? {
    guard let times = plan.times else { return nil }
    var pass = Pass<Result>()
    var next = 0
    var delay = 0
    /// The next frame, if it is the one that is promised, and whole.
    func promised() throws -> rfm_video_frame? {
      while let frame = try file.next() {
        // What is shown before an entry but sent behind it needs what was skipped.
        if next > 0, frame.time < times[next] { continue }
        guard frame.time == times[next], frame.is_damaged == 0 else { return nil }
        next += 1
        delay = Int(frame.delay)
        return frame
      }
      return nil
    }
    /// Whether what a frame may be made of, but is shown later, is whole.
    func isBorneOut() throws -> Bool {
      for _ in 0..<delay where next < times.count {
        guard try promised() != nil else { return false }
      }
      return true
    }
    for index in choice.indices(of: plan.frameCount) {
      if let entry = plan.jump(to: index, from: next), entry.frame > next + delay {
        guard try isBorneOut(), try file.seek(to: entry.packet) else { return nil }
        next = entry.frame
      }
      while next <= index {
        guard let frame = try promised() else { return nil }
        if next > index { try take(frame, index, times[0], &pass, body) }
      }
    }
    guard try isBorneOut(), file.refusedPackets.count == 0 else { return nil }
    pass.frameCount = plan.frameCount
    return pass
  }

  /// Hands a chosen frame over.
  private func take<Result>(
    _ frame: rfm_video_frame, _ index: Int, _ start: Int64?, _ pass: inout Pass<Result>,
    _ body: (VideoFrame) throws -> Result
  ) throws {
    let (stored, range) = try file.image(of: frame)
    // A frame may have a matrix of its own where the container has none.
    let own = DisplayMatrix(frame.display)
    let display = containerDisplay.orientation == .upright ? own : containerDisplay
    let image = display.orientation.map { stored.oriented(by: $0) } ?? stored
    pass.isTilted = pass.isTilted || display.orientation == nil
    pass.sizes.insert([image.width, image.height])
    pass.ranges.insert(range)
    var time: Double?
    if let start {
      time = (Double(frame.time) - Double(start)) * file.timeUnit
    } else if let rate = info.frameRate {
      time = Double(index) / rate
    }
    let result = try body(
      VideoFrame(index: index, ordinal: pass.results.count, time: time, image: image))
    pass.indices.append(index)
    pass.results.append(result)
  }

  // MARK: Notes

  private func notes<Result>(
    _ pass: Pass<Result>, expected: Int, isCut: Bool, stop: String
  ) -> [String] {
    var notes: [String] = []
    if pass.frameCount < expected {
      notes.append(
        "\(pass.frameCount) of \(expected) frames decode"
          + (stop.isEmpty ? "" : " (\(stop))") + "; the others are left out")
    } else if isCut {
      notes.append("it is cut short or damaged at its end; what decodes is used")
    }
    for range in pass.ranges where range != .standard {
      notes.append("high dynamic range (\(range.rawValue)) was brought to SDR")
    }
    if info.videoStreams > 1 {
      notes.append("it has \(info.videoStreams) video streams, of which one is read")
    }
    if abs(info.pixelAspect - 1) > 0.01 {
      let aspect = (info.pixelAspect * 100).rounded() / 100
      notes.append("its pixels are \(aspect) times as wide as high, and are left as stored")
    }
    if pass.isTilted {
      notes.append("its display matrix is none of a quarter turn, and was left aside")
    }
    if pass.sizes.count > 1 { notes.append("its frames have \(pass.sizes.count) sizes") }
    return notes
  }
}
