import Foundation
import Testing

@testable import Foundations
@testable import Images

/// Chromium without a window, if the machine has one.
enum Browser {
  static let path = [
    "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome",
  ].first { FileManager.default.isExecutableFile(atPath: $0) }

  static let absence: Comment =
    "no Chromium: launch/install-dependencies --tests installs the package chromium"

  /// What a page says of itself once it is shown.
  struct Showing {
    var job: Job.Outcome
    /// What the page's probe measured.
    var probe: JSON
    /// Messages of the console.
    var console: [String]
    /// Addresses that were asked for, other than files.
    var fetched: [String]
  }

  /// Shows `page` in a frame so many pixels wide: windows can't be as narrow as phones.
  ///
  /// - Parameters:
  ///   - picture: receives a screenshot, PNG.
  static func show(
    _ page: String, width: Int, height: Int, isDark: Bool, picture: String, in folder: TestFolder
  ) throws -> Showing {
    let name = "\(width)-\(isDark ? "dark" : "light")"
    let frame = folder.file("frame-\(name).html")
    let log = folder.file("net-\(name).json")
    // The probe's findings travel as a message, since files may not look into each other.
    try folder.write(
      """
      <!DOCTYPE html><html><body style="margin:0"><script>
      addEventListener('message', e => { document.body.dataset.probe = encodeURIComponent(e.data); });
      </script><iframe src="file://\(page)" style="border:0;display:block;width:\(width)px;\
      height:\(height)px"></iframe></body></html>
      """, to: "frame-\(name).html")
    let job = try Job.run(
      path!,
      [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--disable-default-apps",
        "--disable-extensions", "--disable-domain-reliability", "--disable-features=Translate",
        "--user-data-dir=\(folder.file("profile-" + name))",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--log-net-log=\(log)",
        "--enable-logging=stderr", "--v=0", "--virtual-time-budget=4000",
        // 0 is dark, 1 light.
        "--blink-settings=preferredColorScheme=\(isDark ? 0 : 1)",
        "--window-size=\(max(500, width)),\(height)", "--screenshot=\(picture)", "--dump-dom",
        "file://\(frame)",
      ], timeLimit: 120)
    guard let match = job.standardOutput.firstMatch(of: /data-probe="([^"]*)"/),
      let text = String(match.1).removingPercentEncoding
    else { throw Job.CannotStart(description: "the page said nothing: \(job)") }
    return Showing(
      job: job, probe: try JSON(parsing: Array(text.utf8)),
      console: job.standardError.split(separator: "\n").map(String.init).filter {
        $0.contains(":CONSOLE")
      },
      fetched: try requests(in: log))
  }

  /// Prints `page`, and counts what is on the paper.
  static func print(
    _ page: String, in folder: TestFolder
  ) throws -> (job: Job.Outcome, pictures: Int, pages: Int) {
    let job = try Job.run(
      path!,
      [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--user-data-dir=\(folder.file("profile"))", "--no-pdf-header-footer",
        // Dark on the screen, never on paper.
        "--blink-settings=preferredColorScheme=0",
        "--print-to-pdf=\(folder.file("page.pdf"))", "file://\(page)",
      ])
    let document = String(decoding: try bytes(folder.file("page.pdf")), as: UTF8.self)
    return (
      job, document.ranges(of: "/Subtype /Image").count,
      document.matches(of: /\/Type \/Page\b/).count
    )
  }

  /// The addresses that pages asked for, not the browser for itself, in a log of its network: one
  /// event a line.
  static func requests(in log: String) throws -> [String] {
    String(decoding: try bytes(log), as: UTF8.self).split(separator: "\n").compactMap { line in
      guard line.contains("\"initiator\""), !line.contains("\"not an origin\""),
        let start = line.firstRange(of: "\"url\":\"")?.upperBound
      else { return nil }
      let address = line[start...].prefix { $0 != "\"" }
      return address.hasPrefix("file:") || address.hasPrefix("data:") ? nil : String(address)
    }
  }

  /// Measures the page and tries every plot's pointer.
  static let probe = #"""
    addEventListener('load', () => {
      const root = document.documentElement;
      const outside = [...document.body.querySelectorAll('*')].filter(part =>
        !part.closest('.scroll') && !part.closest('svg') && !part.closest('.skip, .hidden')
        && part.getBoundingClientRect().right > root.clientWidth + 1);
      const tips = {};
      for (const svg of document.querySelectorAll('svg.plot')) {
        const box = svg.getBoundingClientRect();
        svg.dispatchEvent(new PointerEvent('pointermove',
          { clientX: box.left + box.width * 0.6, clientY: box.top + box.height * 0.5 }));
        const tip = svg.closest('figure').querySelector('.tip');
        tips[svg.id] = tip ? tip.textContent : '';
        svg.dispatchEvent(new PointerEvent('pointerleave'));
      }
      const style = getComputedStyle(document.body);
      const headings = [...document.querySelectorAll('h1, h2, h3')].map(h => +h.tagName[1]);
      parent.postMessage(JSON.stringify({
        scroll: root.scrollWidth, client: root.clientWidth,
        outside: outside.map(part => part.tagName + '.' + part.className),
        plots: [...document.querySelectorAll('svg.plot')].map(svg => svg.id),
        flat: [...document.querySelectorAll('svg.plot')].filter(svg =>
          svg.getBoundingClientRect().width < 250 || svg.getBoundingClientRect().height < 150)
          .map(svg => svg.id),
        empty: [...document.querySelectorAll('svg.plot')].filter(svg =>
          ![...svg.querySelectorAll('.line')].some(line => line.getTotalLength() > 20))
          .map(svg => svg.id),
        tips, broken: [...document.images].filter(image => !image.naturalWidth).length,
        images: document.images.length,
        resources: performance.getEntriesByType('resource').map(entry => entry.name),
        background: style.backgroundColor, color: style.color,
        theme: document.getElementById('theme').textContent,
        skips: headings.filter((level, i) => i > 0 && level > headings[i - 1] + 1).length,
        unlabelled: [...document.querySelectorAll('th')].filter(head => !head.scope).length
          + [...document.querySelectorAll('table')].filter(table => !table.caption).length
          + [...document.images].filter(image => !image.alt).length,
      }), '*');
    });
    """#

  /// A copy of a page that also runs the probe; the page's policy is kept but for that.
  static func probed(_ page: String) throws -> String {
    var digest = SHA256()
    digest.update(Array(probe.utf8))
    let hash = Data(digest.finish()).base64EncodedString()
    let policy = "script-src "
    try #require(page.contains(policy))
    return page.replacing(policy, with: "\(policy)&#39;sha256-\(hash)&#39; ", maxReplacements: 1)
      .replacing("</body>", with: "<script>\(probe)</script></body>", maxReplacements: 1)
  }
}

extension Jobs {
  /// The report as a browser shows it.
  @Suite struct ReportInABrowser {
    /// Screenshots stay in the folder that RFM_KEEP_PICTURES names.
    @Test(.enabled(if: Browser.path != nil, Browser.absence))
    func theReportReadsWellAtEveryWidthAndInBothThemes() throws {
      let tiny = try TinyRuns.checkpoint.get()
      let folder = try TestFolder()
      let page = folder.file("report.html")
      let made = try Job.run(
        "rfm",
        ["report", tiny.runs.path("tiny"), "--data", try SharedData.test, "--output", page])
      #expect(made.succeeded, "\(made)")
      try folder.write(
        Browser.probed(String(decoding: try bytes(page), as: UTF8.self)), to: "probed.html")
      let pictures = ProcessInfo.processInfo.environment["RFM_KEEP_PICTURES"] ?? folder.path
      for (width, height) in [(1280, 5600), (390, 10_000)] {
        for isDark in [false, true] {
          let name = "report-\(width)-\(isDark ? "dark" : "light")"
          let picture = "\(pictures)/\(name).png"
          let showing = try Browser.show(
            folder.file("probed.html"), width: width, height: height, isDark: isDark,
            picture: picture, in: folder)
          #expect(showing.job.status == 0 && !showing.job.timedOut, "\(name): \(showing.job)")
          #expect(showing.console.isEmpty, "\(name): \(showing.console)")
          #expect(showing.fetched.isEmpty, "\(name): \(showing.fetched)")
          try check(showing.probe, width: width, isDark: isDark, name: name)
          let image = try ImageDecoder.decode(path: picture)
          #expect(image.width == max(500, width) && image.height == height, "\(name)")
        }
      }
    }

    /// On paper too, with every picture and without a page for each.
    @Test(.enabled(if: Browser.path != nil, Browser.absence))
    func theReportIsPrintedWithEveryPictureOnAFewPages() throws {
      let tiny = try TinyRuns.checkpoint.get()
      let folder = try TestFolder()
      let made = try Job.run(
        "rfm",
        [
          "report", tiny.runs.path("tiny"), "--data", try SharedData.test, "--output",
          folder.file("report.html"),
        ])
      #expect(made.succeeded, "\(made)")
      let page = String(decoding: try bytes(folder.file("report.html")), as: UTF8.self)
      let printing = try Browser.print(folder.file("report.html"), in: folder)
      #expect(printing.job.status == 0 && !printing.job.timedOut, "\(printing.job)")
      let pictures = page.ranges(of: "<img ").count
      #expect(pictures > 20)
      #expect(printing.pictures >= pictures)
      #expect((5...14).contains(printing.pages), "\(printing.pages) pages")
    }

    /// What a page of explanations shows, with names as file systems allow them.
    @Test(.enabled(if: Browser.path != nil, Browser.absence))
    func explanationsReadWellAtEveryWidthInBothThemesAndOnPaper() throws {
      let folder = try TestFolder()
      try explain(in: folder)
      let page = String(decoding: try bytes(folder.file("out/index.html")), as: UTF8.self)
      // Of every image its own pictures and that of its likeliest method, and those of all methods.
      let pictures = 4 * 5 + folder.names("out/prototypes").count
      #expect(page.ranges(of: "<img ").count == pictures && pictures > 20)
      // Beside its pictures.
      try folder.write(Browser.probed(page), to: "out/probed.html")
      let kept = ProcessInfo.processInfo.environment["RFM_KEEP_PICTURES"] ?? folder.path
      for (width, height) in [(1280, 3000), (390, 5200)] {
        for isDark in [false, true] {
          let name = "explanations-\(width)-\(isDark ? "dark" : "light")"
          let showing = try Browser.show(
            folder.file("out/probed.html"), width: width, height: height, isDark: isDark,
            picture: "\(kept)/\(name).png", in: folder)
          #expect(showing.job.status == 0 && !showing.job.timedOut, "\(name): \(showing.job)")
          #expect(showing.console.isEmpty, "\(name): \(showing.console)")
          #expect(showing.fetched.isEmpty, "\(name): \(showing.fetched)")
          let probe = showing.probe
          #expect(probe["scroll"]?.integerValue == width, "\(name): \(probe)")
          #expect(probe["outside"]?.arrayValue == [], "\(name): \(probe)")
          #expect(probe["images"]?.integerValue == pictures, "\(name)")
          #expect(probe["broken"]?.integerValue == 0, "\(name)")
          #expect(probe["skips"]?.integerValue == 0, "\(name)")
          #expect(probe["unlabelled"]?.integerValue == 0, "\(name)")
          #expect(probe["theme"]?.textValue == (isDark ? "Light" : "Dark"), "\(name)")
        }
      }
      // On paper every file is there, in view or not.
      let files = Set(page.matches(of: /<img src="([^"]*)"/).map { String($0.1) })
      let printing = try Browser.print(folder.file("out/index.html"), in: folder)
      #expect(printing.job.status == 0 && !printing.job.timedOut, "\(printing.job)")
      #expect(printing.pictures >= files.count, "\(printing.pictures) pictures")
      #expect((1...4).contains(printing.pages), "\(printing.pages) pages")
    }

    /// Four images with hostile names and one file that is none.
    private func explain(in folder: TestFolder) throws {
      let names = [
        "plain.png", "<img src=x onerror=alert(1)>.png", "%2e#?\u{202E}é\"'.png",
        String(repeating: "long-name_", count: 20) + ".png",
      ]
      for (number, name) in names.enumerated() {
        let pixels = (0..<60 * 50 * 3).map { UInt8(truncatingIfNeeded: $0 * (number + 3)) }
        try PNGCodec.write(RGBImage(width: 60, height: 50, pixels: pixels), to: folder.file(name))
      }
      try folder.write("hello", to: "<b>.txt")
      let made = try Job.run(
        "rfm",
        [
          "explain", "--checkpoint", TinyRuns.checkpoint.get().path, "--threads", "1", "--output",
          folder.file("out"),
        ] + (names + ["<b>.txt"]).map(folder.file))
      #expect(made.succeeded, "\(made)")
    }

    /// The check above would see what it looks for.
    @Test(.enabled(if: Browser.path != nil, Browser.absence))
    func whatAPageFetchesAndComplainsOfIsNoticed() throws {
      let folder = try TestFolder()
      try folder.write(
        """
        <!DOCTYPE html><img src="http://picture.invalid/x.png"><script>
        console.error('oh no'); addEventListener('load', () => parent.postMessage('{}', '*'));
        </script>
        """, to: "careless.html")
      let showing = try Browser.show(
        folder.file("careless.html"), width: 600, height: 400, isDark: false,
        picture: folder.file("careless.png"), in: folder)
      #expect(showing.fetched == ["http://picture.invalid/x.png"], "\(showing.fetched)")
      #expect(showing.console.contains { $0.contains("oh no") }, "\(showing.console)")
    }

    private func check(_ probe: JSON, width: Int, isDark: Bool, name: String) throws {
      #expect(probe["scroll"]?.integerValue == width, "\(name): \(probe)")
      #expect(probe["client"]?.integerValue == width, "\(name)")
      #expect(probe["outside"]?.arrayValue == [], "\(name): \(probe)")
      let plots = try #require(probe["plots"]?.arrayValue).compactMap { $0.textValue }
      #expect(
        Set(plots) == [
          "plot-loss", "plot-validation", "plot-low-rates", "plot-learning-rate",
          "plot-throughput", "plot-roc", "plot-scores", "plot-calibration",
        ], "\(name)")
      #expect(probe["flat"]?.arrayValue == [] && probe["empty"]?.arrayValue == [], "\(name)")
      for plot in plots {
        let tip = try #require(probe["tips"]?[plot]?.textValue)
        #expect(tip.contains(/[0-9]/), "\(name): \(plot) says '\(tip)'")
      }
      #expect(probe["broken"]?.integerValue == 0, "\(name)")
      #expect((probe["images"]?.integerValue ?? 0) > 20, "\(name)")
      #expect(probe["resources"]?.arrayValue == [], "\(name): \(probe)")
      #expect(probe["skips"]?.integerValue == 0, "\(name)")
      #expect(probe["unlabelled"]?.integerValue == 0, "\(name)")
      #expect(probe["theme"]?.textValue == (isDark ? "Light" : "Dark"), "\(name)")
      #expect(
        probe["background"]?.textValue == (isDark ? "rgb(20, 23, 27)" : "rgb(253, 253, 251)"),
        "\(name)")
    }
  }
}
