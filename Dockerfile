FROM postgres:17-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
	gcc libc6-dev make "postgresql-server-dev-$PG_MAJOR"
COPY . /leadscore
WORKDIR /leadscore
RUN make && make install DESTDIR=/stage

FROM postgres:17-bookworm
COPY --from=build /stage/ /
COPY dashboard/ /usr/share/leadscore-dashboard/
RUN ln -s ../share/leadscore-dashboard/make /usr/bin/leadscore-dashboard
