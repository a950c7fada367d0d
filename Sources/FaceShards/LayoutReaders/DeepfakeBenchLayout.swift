import Foundations

/// Frames as DeepfakeBench and DF40 have them, below `rgb/`, with the JSON files that say what they are
/// (``DeepfakeBenchIndex``), below the input or in the folder of official splits.
///
/// The JSON files list the same videos for several splits: those for testing also for training, and the
/// same for validation. Every frame is packed once, in the split that is furthest from training.
enum DeepfakeBenchLayout: LayoutReader {
  static func evidence(in input: LayoutInput) throws -> BytePath? {
    guard input.root != nil else { return nil }
    return try documents(input).first(where: isLikely)?.path
  }

  private static func documents(_ input: LayoutInput) throws -> [LayoutInput.Document] {
    let others: Set<String> = [
      "train.json", "val.json", "test.json", "metadata.json", "dataset.json",
    ]
    return try input.documents {
      LayoutInput.hasEnding("json")($0)
        && !others.contains(LayoutFiles.lower($0.components.last ?? []))
    }
  }

  private static func isLikely(_ document: LayoutInput.Document) -> Bool {
    (try? LayoutText.head(document.path)).map(DeepfakeBenchIndex.isLikely) ?? false
  }

  static func read(_ input: LayoutInput) throws -> LayoutReading {
    // In a folder that was named all are meant; among images there may be JSON files of anybody.
    let indices = try documents(input).filter { input.officialSplits != nil || isLikely($0) }.map {
      try DeepfakeBenchIndex($0.read(limit: DeepfakeBenchIndex.maximumBytes), $0.path)
    }
    guard !indices.isEmpty else {
      throw input.refusal(
        "no JSON files of DeepfakeBench, which say what is fake; name their folder (dataset_json) with"
          + " --official-splits")
    }
    return try read(indices, input)
  }

  private struct Claim {
    var video: DeepfakeBenchIndex.Video
    var index: BytePath
    var splits: Set<String>
  }

  static func read(_ indices: [DeepfakeBenchIndex], _ input: LayoutInput) throws -> LayoutReading {
    var reading = LayoutReading(kind: .deepfakebench)
    var places = FramePlaces(
      files: input.files,
      folder: (input.realRoot ?? BytePath(input.folder)).components.last ?? [])
    var claims: [Int: Claim] = [:]
    var (missing, total) = (0, 0)
    var firstMissing: (frame: String, index: BytePath)?
    for index in indices {
      for video in index.videos {
        for frame in video.frames {
          total += 1
          guard let file = places.file(frame) else {
            missing += 1
            firstMissing = firstMissing ?? (frame, index.path)
            continue
          }
          guard let first = claims[file] else {
            claims[file] = Claim(video: video, index: index.path, splits: [video.split])
            continue
          }
          let (one, other) = (first.video.label, video.label)
          let isFake = DeepfakeBenchIndex.isFake(other)
          guard DeepfakeBenchIndex.isFake(one) == isFake,
            !isFake
              || DeepfakeBenchIndex.method(one) == DeepfakeBenchIndex.method(other)
          else {
            throw PackError.badData(
              "\(index.path): \(input.files[file]) is \(printable(other)), but \(printable(one)) in"
                + " \(first.index)")
          }
          claims[file]!.splits.insert(video.split)
        }
      }
    }
    guard !claims.isEmpty else {
      throw input.refusal(
        "none of the frames that \(indices[0].path) names is there, such as"
          + " \(printable(firstMissing?.frame ?? "")); --input is the folder that holds rgb/, or what is"
          + " below it; there are"
          + " \(input.files.isEmpty ? "no files" : LayoutFiles.describe(input.files))")
    }
    let names = indices.map { "\($0.path)" }
    reading.isOfficial = true
    reading.splitsBy =
      names.count == 1 ? names[0] : "\(names[0]) and \(names.count - 1) more JSON files"
    reading.notes.append("the splits are those of \(reading.splitsBy!)")
    if let firstMissing {
      reading.notes.append(
        "\(missing) of \(total) frames that the JSON files name are not there, such as"
          + " \(printable(firstMissing.frame)) of \(firstMissing.index)")
    }
    var unnamed: [BytePath] = []
    var (beside, others): ([BytePath], [BytePath]) = ([], [])
    var crossings: [Set<String>: (count: Int, first: BytePath)] = [:]
    for (file, path) in input.files.enumerated() {
      guard let claim = claims[file] else {
        if LayoutFiles.isBeside(path) {
          beside.append(path)
        } else if input.mediaKind(path) == nil {
          others.append(path)
        } else {
          unnamed.append(path)
        }
        continue
      }
      let video = claim.video
      let isFake = DeepfakeBenchIndex.isFake(video.label)
      let name = BytePath.printable(Array(video.name.utf8))
      if claim.splits.count > 1 { crossings[claim.splits, default: (0, path)].count += 1 }
      reading.entries.append(
        LayoutEntry(
          path: path, kind: LayoutFiles.kind(of: path.components.last!),
          method: isFake ? DeepfakeBenchIndex.method(video.label) : nil, source: name,
          split: FolderRole.leastTrained(Array(claim.splits)) { $0 }))
      if reading.shows[name] == nil {
        reading.shows[name] =
          PeopleNames.faceForensics(name)?.map { "YouTube \($0)" } ?? PeopleNames.people(in: name)
      }
    }
    for (splits, crossing) in crossings.sorted(by: { $0.value.first < $1.value.first }) {
      let words = FolderRole.splits.filter { splits.contains($0) }
      reading.notes.append(
        "\(crossing.count) images are listed for \(words.joined(separator: " and ")), such as"
          + " \(crossing.first): they are only in \(words.last!)")
    }
    if !unnamed.isEmpty {
      reading.notes.append(
        "\(LayoutFiles.sample(unnamed)): images and videos that no JSON file names; not taken")
    }
    LayoutNotes.add(beside: beside, others: others, to: &reading)
    return reading
  }
}
